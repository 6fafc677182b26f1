import type { FastifyInstance, FastifyRequest } from 'fastify'
import { IMAGES_REGISTRY } from '#flyd'
import { type Digest, ImageError, parseDigest } from '#image'
import { Action } from '#macaroon'
import { type Caller, callerOf, ownerOf } from '../caller.ts'
import type { Endpoint } from '../endpoint.ts'
import { refuse } from '../errors.ts'
import { admit } from '../gate.ts'
import type { Services } from '../services.ts'
import type { ImageDepot } from './image-depot.ts'

/** Bytes of a blob in one request. */
export const PIECE_BYTES_MAX = 8 << 20

const access = { on: 'app', action: Action.write } as const

/**
 * How an image comes from a client's files, without a registry in between. Bodies are bytes, which is why these
 * calls are no endpoints like the others:
 *
 *   GET  /v1/apps/:app/images/blobs/:digest                  {"have": bytes, "complete": bool}
 *   POST /v1/apps/:app/images/blobs/:digest?offset=&size=    the piece at that offset; the same answer
 *   POST /v1/apps/:app/images                                the manifest; {"digest", "image"}
 */
export function addImageRoutes(
  fastify: FastifyInstance,
  { depot, services }: { depot: ImageDepot; services: Services },
): void {
  fastify.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: PIECE_BYTES_MAX }, asItIs)
    // Before the body is read: who has no token makes us read nothing.
    const callers = new WeakMap<FastifyRequest, Caller>()
    scope.addHook('onRequest', async (request) => {
      callers.set(request, callerOf(request.raw, services.directory.verifier))
    })
    const appOf = async (request: FastifyRequest, operation: string) => {
      const params = request.params as Record<string, string>
      const asked = { params, query: {}, body: {}, signal: request.signal }
      const rule = { id: operation, access } as unknown as Endpoint
      const { app, token } = await admit(rule, asked, callers.get(request), services)
      if (app === undefined) throw new Error('an app is what the rule asks for')
      if (request.method !== 'GET') {
        services.directory.record({
          ...{ atMs: services.clock.nowMs(), requestId: request.id, operation, status: 200 },
          ...{ path: request.url.split('?')[0] ?? '', appName: app.name },
          ...{ owner: token && ownerOf(token), orgSlug: app.organization.slug },
        })
      }
      return app
    }
    const blobs = '/v1/apps/:app/images/blobs/:digest'
    scope.get(blobs, async (request) => {
      const app = await appOf(request, 'Images_blob')
      return progressJson(await depot.received(app.name, digestOf(request)))
    })
    scope.post(blobs, { bodyLimit: PIECE_BYTES_MAX }, async (request) => {
      const app = await appOf(request, 'Images_upload')
      const query = request.query as Record<string, string | undefined>
      const piece = {
        ...{ app: app.name, digest: digestOf(request), bytes: bodyOf(request) },
        ...{ size: countOf(query, 'size'), offset: countOf(query, 'offset') },
      }
      return progressJson(await depot.receive(piece))
    })
    scope.post('/v1/apps/:app/images', { bodyLimit: PIECE_BYTES_MAX }, async (request) => {
      const app = await appOf(request, 'Images_create')
      const digest = await depot.accept(app.name, bodyOf(request))
      return { digest, image: `${IMAGES_REGISTRY}/${app.name}@${digest}` }
    })
  })
}

const asItIs = async (_request: unknown, bytes: Buffer) => bytes
const progressJson = ({ have, isComplete }: { have: number; isComplete: boolean }) => ({
  have,
  complete: isComplete,
})

const bodyOf = ({ body }: FastifyRequest): Buffer => (Buffer.isBuffer(body) ? body : Buffer.of())

function digestOf({ params }: FastifyRequest): Digest {
  try {
    return parseDigest((params as Record<string, string>)['digest'] ?? '')
  } catch (error) {
    if (!(error instanceof ImageError)) throw error
    throw refuse('flaps.argument_bad', 'invalid_argument: invalid digest', error)
  }
}

function countOf(query: Readonly<Record<string, string | undefined>>, name: string): number {
  const text = query[name] ?? ''
  if (/^\d{1,12}$/.test(text)) return Number(text)
  throw refuse('flaps.argument_bad', `invalid_argument: invalid ${name}`)
}
