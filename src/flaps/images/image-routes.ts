import type { FastifyInstance, FastifyRequest } from 'fastify'
import { IMAGES_REGISTRY, timeText } from '#flyd'
import { type Digest, ImageError, parseDigest } from '#image'
import { Action } from '#macaroon'
import { type Caller, callerOf, ownerOf } from '../caller.ts'
import type { Endpoint } from '../endpoint.ts'
import { refuse } from '../errors.ts'
import { admit } from '../gate.ts'
import type { Services } from '../services.ts'
import type { ImageDepot, KeptImage } from './image-depot.ts'
import { imageUsers } from './image-owners.ts'

/** Bytes of a blob in one request. */
export const PIECE_BYTES_MAX = 8 << 20

const writing = { on: 'app', action: Action.write } as const
const reading = { on: 'app', action: Action.read } as const
type AppAccess = typeof writing | typeof reading

/**
 * How an image comes from a client's files, without a registry in between. Bodies are bytes, which is why these
 * calls are no endpoints like the others:
 *
 *   GET  /v1/apps/:app/images/blobs/:digest                  {"have": bytes, "complete": bool}
 *   POST /v1/apps/:app/images/blobs/:digest?offset=&size=    the piece at that offset; the same answer
 *   POST /v1/apps/:app/images                                the manifest; {"digest", "image"}
 *
 * What this gateway has of an app, and its end:
 *
 *   GET    /v1/apps/:app/images                              {"images": [{digest, image, bytes, created_at, used_by}]}
 *   DELETE /v1/apps/:app/images/:digest                      412 while a machine or the current release uses it
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
    const appOf = async (
      request: FastifyRequest,
      operation: string,
      access: AppAccess = writing,
    ) => {
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
      return { digest, image: imageOf(app.name, digest) }
    })
    scope.get('/v1/apps/:app/images', async (request) => {
      const app = await appOf(request, 'Images_list', reading)
      const userOf = await imageUsers(services, app, request.signal)
      const images = (await depot.images(app.name)).map((one) => imageJson(one, userOf(one)))
      return { images }
    })
    scope.delete('/v1/apps/:app/images/:digest', async (request) => {
      const app = await appOf(request, 'Images_delete')
      const digest = digestOf(request)
      const image = (await depot.images(app.name)).find((one) => one.digest === digest)
      if (image === undefined) throw refuse('flaps.not_found', 'not_found: image not found')
      const user = (await imageUsers(services, app, request.signal))(image)
      if (user !== undefined) {
        throw refuse('flaps.state_bad', `failed_precondition: ${user} uses this image`)
      }
      await depot.remove(image)
      await depot.tidy()
      return {}
    })
  })
}

const asItIs = async (_request: unknown, bytes: Buffer) => bytes
const progressJson = ({ have, isComplete }: { have: number; isComplete: boolean }) => ({
  have,
  complete: isComplete,
})

const imageOf = (app: string, digest: Digest) => `${IMAGES_REGISTRY}/${app}@${digest}`

const imageJson = ({ app, digest, bytes, keptAtMs }: KeptImage, user: string | undefined) => ({
  ...{ digest, image: imageOf(app, digest), bytes, created_at: timeText(keptAtMs) },
  used_by: user ?? null,
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
