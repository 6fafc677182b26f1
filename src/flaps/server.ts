import assert from 'node:assert/strict'
import type { Server } from 'node:http'
import { createServer as createHttps } from 'node:https'
import Fastify, { type FastifyInstance, type FastifyServerFactory } from 'fastify'
import { type CertificateFiles, type Clock, followCertificate, type Log } from '#base'
import type { Endpoint } from './endpoint.ts'
import { FlapsMetrics } from './flaps-metrics.ts'
import { addIdentityRoutes } from './identity-routes.ts'
import type { ImageDepot } from './images/image-depot.ts'
import { addImageRoutes } from './images/image-routes.ts'
import { addJoinRoutes } from './join/join-routes.ts'
import type { OpenJoin } from './join/open-join.ts'
import { parseJson } from './json-body.ts'
import { openApiDocument } from './openapi.ts'
import { RateLimits, type Rates } from './rate-limits.ts'
import { sendError } from './reply.ts'
import { requestIds } from './request-id.ts'
import { type Around, addRoute } from './route.ts'
import { isStream, serveStreams } from './serve-streams.ts'
import type { Services } from './services.ts'

export interface ServerOptions {
  readonly services: Services
  readonly endpoints: readonly Endpoint[]
  readonly log: Log
  /** @default as documented */
  readonly rates?: Rates
  readonly metrics?: FlapsMetrics
  /** Absent: plain HTTP. */
  readonly tls?: CertificateFiles
  /** Absent: it takes no images. */
  readonly depot?: ImageDepot
  /** Absent: no server joins the cluster here. */
  readonly join?: OpenJoin
  /** What else is served at this address. */
  readonly extensions?: readonly ServerExtension[]
}

/** Adds routes to a server. Each must ask who calls, as `addRoute` does. */
export type ServerExtension = (fastify: FastifyInstance, around: Around) => void

const BODY_BYTES_MAX = 2 * 1024 * 1024
/** The tokens of many organisations travel in one header. */
const HEADER_BYTES_MAX = 256 * 1024
const HEADERS_DEADLINE_MS = 10_000
const BODY_DEADLINE_MS = 60_000
/** Longer than proxies keep idle connections, so that theirs close first. */
const KEEP_ALIVE_MS = 75_000
const PARAM_CHARS_MAX = 300

/**
 * The API as a Fastify instance, not listening yet. Closing it answers what only reads and waits with
 * 503, so that clients ask another instance, and lets what changes something end.
 *
 * @throws BaseError base.certificate_bad; what the system says of the certificate's files
 */
export function buildServer(options: ServerOptions): FastifyInstance {
  const { services, endpoints, log, rates, metrics = new FlapsMetrics(), tls } = options
  for (const { id, access } of endpoints) {
    assert(access !== undefined, `${id} says nothing of who may call it`)
  }
  const followed = new DisposableStack()
  const fastify: FastifyInstance = Fastify({
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: BODY_DEADLINE_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    ...(tls === undefined
      ? { http }
      : { serverFactory: httpsServers(tls, followed, { log, clock: services.clock }) }),
    exposeHeadRoutes: false,
    return503OnClosing: true,
    genReqId: requestIds(services),
    routerOptions: { maxParamLength: PARAM_CHARS_MAX, ignoreTrailingSlash: true },
    logger: false,
    frameworkErrors: (error, request, reply) => void sendError(error, request, reply, log),
  })
  fastify.addHook('onClose', async () => followed.dispose())
  readAnyBodyAsJson(fastify)
  fastify.addHook('onRequest', async (request, reply) => {
    reply.header('fly-request-id', request.id)
  })
  fastify.setNotFoundHandler((_request, reply) =>
    reply.code(404).type('text/plain; charset=utf-8').send('404 page not found\n'),
  )
  fastify.setErrorHandler((error, request, reply) => sendError(error, request, reply, log))
  const document = openApiDocument(endpoints)
  fastify.get('/v1/openapi.json', (_request, reply) => reply.send(document))
  addIdentityRoutes(fastify, services.identity)
  const drain = new AbortController()
  fastify.addHook('preClose', async () => drain.abort())
  fastify.addHook('onSend', async (_request, reply) => {
    if (drain.signal.aborted) reply.header('connection', 'close') // else it idles, and we wait for it
  })
  const limits = new RateLimits(services.clock, rates)
  const around = { services, limits, metrics, log, draining: drain.signal }
  for (const endpoint of endpoints) addRoute(fastify, endpoint, around)
  serveStreams(fastify, around)
  for (const extend of options.extensions ?? []) extend(fastify, around)
  if (options.depot !== undefined) addImageRoutes(fastify, { depot: options.depot, services })
  const { join } = options
  if (join !== undefined) addJoinRoutes(fastify, { ...join, clock: services.clock })
  return fastify
}

const http = {
  headersTimeout: HEADERS_DEADLINE_MS,
  maxHeaderSize: HEADER_BYTES_MAX,
  shouldUpgradeCallback: isStream,
}

/** Of a server of requests that is not of Fastify's own making. */
export const HTTP_LIMITS = {
  ...http,
  requestTimeout: BODY_DEADLINE_MS,
  keepAliveTimeout: KEEP_ALIVE_MS,
}

/** Each shows what is in the files, until `followed` is disposed. To Fastify both are servers of requests; its types tell them apart. */
function httpsServers(
  files: CertificateFiles,
  followed: DisposableStack,
  around: { log: Log; clock: Clock },
): FastifyServerFactory {
  return (handler) => {
    const server = createHttps(HTTP_LIMITS, handler)
    followed.use(followCertificate(server, files, around))
    return server as unknown as Server
  }
}

function readAnyBodyAsJson(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers()
  const parse = async (_request: unknown, text: string) => parseJson(text)
  fastify.addContentTypeParser('*', { parseAs: 'string' }, parse)
}
