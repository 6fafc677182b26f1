import assert from 'node:assert/strict'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Log } from '#base'
import { type Answer, answerOfError } from './answer.ts'
import { Call } from './call.ts'
import { Caller, ownerOf } from './caller.ts'
import type { Endpoint } from './endpoint.ts'
import { refuse } from './errors.ts'
import { admit } from './gate.ts'
import { parseJson, readBody } from './json-body.ts'
import { openApiDocument } from './openapi.ts'
import { type RawQuery, readQuery } from './query-string.ts'
import { RateLimits, type Rates } from './rate-limits.ts'
import { requestIds } from './request-id.ts'
import type { Services } from './services.ts'

export interface ServerOptions {
  readonly services: Services
  readonly endpoints: readonly Endpoint[]
  readonly log: Log
  /** @default as documented */
  readonly rates?: Rates
}

const BODY_BYTES_MAX = 2 * 1024 * 1024
const HEADERS_DEADLINE_MS = 10_000
/** Longer than `wait` holds a request, and than the proxy keeps idle connections. */
const KEEP_ALIVE_MS = 75_000
const BODY_DEADLINE_MS = 60_000
const PARAM_CHARS_MAX = 300
const CLOSED_BY_CLIENT = 499

/** The API as a Fastify instance, not listening yet. Closing it waits for requests that run. */
export function buildServer(options: ServerOptions): FastifyInstance {
  const { services, endpoints, log, rates } = options
  for (const { id, access } of endpoints) {
    assert(access !== undefined, `${id} says nothing of who may call it`)
  }
  const fastify = Fastify({
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: BODY_DEADLINE_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    http: { headersTimeout: HEADERS_DEADLINE_MS },
    exposeHeadRoutes: false,
    genReqId: requestIds(services),
    routerOptions: { maxParamLength: PARAM_CHARS_MAX, ignoreTrailingSlash: true },
    logger: false,
    frameworkErrors: (error, request, reply) => void sendError(error, request, reply, log),
  })
  fastify.removeAllContentTypeParsers()
  fastify.addContentTypeParser(
    '*',
    { parseAs: 'string' },
    async (_request: unknown, text: string) => parseJson(text),
  )
  fastify.addHook('onRequest', async (request, reply) => {
    reply.header('fly-request-id', request.id)
  })
  fastify.setNotFoundHandler((_request, reply) =>
    reply.code(404).type('text/plain; charset=utf-8').send('404 page not found\n'),
  )
  fastify.setErrorHandler((error, request, reply) => sendError(error, request, reply, log))
  const document = openApiDocument(endpoints)
  fastify.get('/v1/openapi.json', (_request, reply) => reply.send(document))
  fastify.get('/healthz', (_request, reply) => reply.send({ ok: true }))
  const limits = new RateLimits(services.clock, rates)
  for (const endpoint of endpoints) addEndpoint(fastify, endpoint, { services, limits, log })
  return fastify
}

interface Around {
  readonly services: Services
  readonly limits: RateLimits
  readonly log: Log
}

/** Set by the hooks of one request for those after them. */
interface Progress {
  caller?: Caller
  orgSlug?: string
  appName?: string
  owner?: string
}

function addEndpoint(fastify: FastifyInstance, endpoint: Endpoint, around: Around): void {
  const progress = new WeakMap<FastifyRequest, Progress>()
  const progressOf = (request: FastifyRequest): Progress => {
    const known = progress.get(request) ?? {}
    progress.set(request, known)
    return known
  }
  fastify.route({
    method: endpoint.method,
    url: endpoint.path,
    // Before the body is read: who has no token makes us read nothing.
    onRequest: async (request) => {
      if (endpoint.access.on === 'nothing') return
      const { verifier } = around.services.directory
      progressOf(request).caller = new Caller(request.headers.authorization, verifier)
    },
    onResponse: async (request, reply) => {
      if (endpoint.method !== 'GET') {
        record(endpoint, request, reply.statusCode, progressOf(request), around)
      }
    },
    handler: async (request, reply) => {
      const { signal, disposed } = abortWithClient(reply)
      try {
        const answer = await answerTo(endpoint, request, signal, progressOf(request), around)
        return send(reply, answer)
      } catch (error) {
        if (signal.aborted) return reply.code(CLOSED_BY_CLIENT).send() // nobody hears it
        throw error
      } finally {
        disposed()
      }
    },
  })
}

async function answerTo(
  endpoint: Endpoint,
  request: FastifyRequest,
  signal: AbortSignal,
  progress: Progress,
  { services, limits, log }: Around,
): Promise<Answer> {
  const params = request.params as Record<string, string>
  const rawQuery = request.query as RawQuery
  const query = endpoint.query === undefined ? {} : readQuery(endpoint.query, rawQuery)
  const body = bodyOf(endpoint, request)
  const admitted = await admit(endpoint, { params, query, body, signal }, progress.caller, services)
  if (admitted.token !== undefined) progress.owner = ownerOf(admitted.token)
  const { slug } = admitted.organization ?? admitted.app?.organization ?? {}
  if (slug !== undefined) progress.orgSlug = slug
  if (admitted.app !== undefined) progress.appName = admitted.app.name
  limits.spend(endpoint.limit, endpoint.id, targetOf(endpoint, params, progress))
  return endpoint.handle(
    new Call({
      services,
      admitted,
      params,
      query,
      rawQuery,
      body,
      headers: request.headers,
      requestId: request.id,
      signal,
      log: log.child({ requestId: request.id, operation: endpoint.id }),
    }),
  )
}

function bodyOf({ id, body: schema, nullIs = 'absent' }: Endpoint, request: FastifyRequest) {
  return schema === undefined ? {} : readBody(schema, request.body, { call: id, nullIs })
}

/** What a rate is counted by: the machine, else the app, else who calls. */
function targetOf(
  { limit }: Endpoint,
  params: Readonly<Record<string, string>>,
  { owner = 'anyone' }: Progress,
): string {
  if (limit === 'deleteApp') return owner
  return params['machine'] ?? params['volume'] ?? params['app'] ?? owner
}

/** A client that goes away takes its work with it. */
function abortWithClient(reply: FastifyReply) {
  const controller = new AbortController()
  const onClose = () => {
    if (!reply.raw.writableFinished) {
      controller.abort(refuse('flaps.deadline_exceeded', 'canceled: the client went away'))
    }
  }
  reply.raw.on('close', onClose)
  if (reply.raw.destroyed) onClose()
  return { signal: controller.signal, disposed: () => void reply.raw.off('close', onClose) }
}

function send(reply: FastifyReply, { status, body, headers = {} }: Answer): FastifyReply {
  reply.code(status).headers(headers)
  if (body === undefined) return reply.send()
  const isText = typeof body === 'string'
  const type = isText ? 'text/plain; charset=utf-8' : 'application/json; charset=utf-8'
  return reply.type(headers['content-type'] ?? type).send(isText ? body : JSON.stringify(body))
}

function sendError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  log: Log,
): FastifyReply {
  reply.header('fly-request-id', request.id)
  const answer = answerOfError(error)
  if (answer !== undefined && answer.status < 500) return send(reply, answer)
  log.error({ err: error, requestId: request.id, path: request.routeOptions.url }, 'call failed')
  return send(reply, answer ?? { status: 500, body: { error: 'internal: internal error' } })
}

function record(
  endpoint: Endpoint,
  request: FastifyRequest,
  status: number,
  { owner, orgSlug, appName }: Progress,
  { services }: Around,
): void {
  services.directory.record({
    atMs: services.clock.nowMs(),
    requestId: request.id,
    operation: endpoint.id,
    path: request.url.split('?')[0] ?? '',
    owner,
    orgSlug,
    appName,
    status,
  })
}
