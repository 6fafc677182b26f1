import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Log } from '#base'
import { callerOf } from './caller.ts'
import type { Endpoint } from './endpoint.ts'
import type { FlapsMetrics } from './flaps-metrics.ts'
import { sourceOf } from './machine-api/machine-source.ts'
import { type AskedCall, type Progress, performCall } from './perform-call.ts'
import type { RawQuery } from './query-string.ts'
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
        const asked = askedOf(request, held.signal)
        return send(reply, await performCall(endpoint, asked, progress, around))
      } catch (error) {
        if (held.isUnheard) return reply.code(CLOSED_BY_CLIENT).send()
        throw error
      }
    },
  })
}

function askedOf(request: FastifyRequest, signal: AbortSignal): AskedCall {
  return {
    params: request.params as Record<string, string>,
    query: request.query as RawQuery,
    body: request.body,
    headers: request.headers,
    requestId: request.id,
    signal,
    source: sourceOf(request),
  }
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
