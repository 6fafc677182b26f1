import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Log } from '#base'
import type { Answer } from './answer.ts'
import { Call } from './call.ts'
import { type Caller, callerOf, ownerOf } from './caller.ts'
import type { Endpoint } from './endpoint.ts'
import type { FlapsMetrics } from './flaps-metrics.ts'
import { admit } from './gate.ts'
import { readBody } from './json-body.ts'
import { sourceOf } from './machine-api/machine-source.ts'
import { type RawQuery, readQuery } from './query-string.ts'
import type { RateLimits } from './rate-limits.ts'
import { send } from './reply.ts'
import { requestSignal } from './request-signal.ts'
import type { Services } from './services.ts'

/** What every endpoint's route stands on. */
export interface Around {
  readonly services: Services
  readonly limits: RateLimits
  readonly metrics: FlapsMetrics
  readonly log: Log
  /** Aborts when this server is to end. */
  readonly draining: AbortSignal
}

/** What is known of one request so far, for the hooks after those that found it out. */
interface Progress {
  caller?: Caller
  orgSlug?: string
  appName?: string
  owner?: string
}

const CLOSED_BY_CLIENT = 499

/** From request to answer: token, query and body, target and access, rate, work, audit. */
export function addRoute(fastify: FastifyInstance, endpoint: Endpoint, around: Around): void {
  const requests = new WeakMap<FastifyRequest, Progress>()
  const progressOf = (request: FastifyRequest): Progress => {
    const known = requests.get(request) ?? {}
    requests.set(request, known)
    return known
  }
  const { services, metrics } = around
  const isRead = endpoint.method === 'GET'
  fastify.route({
    method: endpoint.method,
    url: endpoint.path,
    // Before the body is read: who has no token makes us read nothing.
    onRequest: async (request) => {
      metrics.begin()
      if (endpoint.access.on === 'nothing') return
      const { verifier } = services.directory
      progressOf(request).caller = callerOf(request.raw, verifier)
    },
    onResponse: async (request, reply) => {
      const status = reply.statusCode
      metrics.end(endpoint.id, { status, seconds: reply.elapsedTime / 1000 })
      const progress = progressOf(request)
      // Who has no token at all must not be able to fill the log.
      if (!isRead && progress.caller) record(endpoint, request, status, progress, services)
    },
    handler: async (request, reply) => {
      const draining = isRead ? around.draining : undefined
      using held = requestSignal(reply.raw, { clock: services.clock, draining })
      try {
        const progress = progressOf(request)
        return send(reply, await answerTo(endpoint, request, held.signal, progress, around))
      } catch (error) {
        if (held.isUnheard) return reply.code(CLOSED_BY_CLIENT).send()
        throw error
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
  const asked = { params, query, body, signal, source: sourceOf(request) }
  const admitted = await admit(endpoint, asked, progress.caller, services)
  if (admitted.token !== undefined) progress.owner = ownerOf(admitted.token)
  const slug = (admitted.organization ?? admitted.app?.organization)?.slug
  if (slug !== undefined) progress.orgSlug = slug
  if (admitted.app !== undefined) progress.appName = admitted.app.name
  limits.spend(endpoint.limit, endpoint.id, targetOf(endpoint, params, progress))
  const call = new Call({
    ...asked,
    services,
    admitted,
    rawQuery,
    headers: request.headers,
    requestId: request.id,
    log: log.child({ requestId: request.id, operation: endpoint.id }),
  })
  return endpoint.handle(call)
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

function record(
  endpoint: Endpoint,
  request: FastifyRequest,
  status: number,
  { owner, orgSlug, appName }: Progress,
  { clock, directory }: Services,
): void {
  directory.record({
    atMs: clock.nowMs(),
    requestId: request.id,
    operation: endpoint.id,
    path: request.url.split('?')[0] ?? '',
    owner,
    orgSlug,
    appName,
    status,
  })
}
