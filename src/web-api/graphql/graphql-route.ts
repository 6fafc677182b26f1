import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { type Around, type Caller, callerOf, ownerOf, refuse, requestSignal } from '#flaps'
import type { WebApiOptions } from '../web-api-options.ts'
import { WebCall, type WebCallInit } from '../web-call.ts'
import { answerQuery, type Query, type QueryAnswer } from './answer-query.ts'
import { errorJson } from './graphql-error.ts'
import { makeSchema } from './schema.ts'

const BODY_BYTES_MAX = 512 * 1024
const OPERATION = 'GraphQL'

const querySchema = Type.Object({
  query: Type.String(),
  variables: Type.Optional(Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()])),
  operationName: Type.Optional(Type.Union([Type.String(), Type.Null()])),
})

/**
 * `POST /graphql`. It answers 200 whatever happens, for clients lose the text of anything else.
 */
export function addGraphqlRoute(
  fastify: FastifyInstance,
  around: Around,
  options: WebApiOptions,
): void {
  const { services, limits, metrics } = around
  const schema = makeSchema()
  const callers = new WeakMap<FastifyRequest, Caller>()
  const failed = (error: unknown, request: FastifyRequest): QueryAnswer => ({
    errors: [errorJson(error, around.log.child({ requestId: request.id, operation: OPERATION }))],
  })
  fastify.route({
    method: 'POST',
    url: '/graphql',
    bodyLimit: BODY_BYTES_MAX,
    // Before the body is read: who has no token makes us read nothing.
    onRequest: async (request) => {
      metrics.begin()
      callers.set(request, callerOf(request.raw, services.directory.verifier))
    },
    onResponse: async (_request, reply) =>
      metrics.end(OPERATION, { status: reply.statusCode, seconds: reply.elapsedTime / 1000 }),
    errorHandler: (error, request, reply) => reply.code(200).send(failed(error, request)),
    handler: async (request, reply) => {
      const caller = callers.get(request)
      if (caller === undefined) throw refuse('flaps.unauthenticated', 'no token')
      const token = caller.requireLive(services.clock.nowMs())
      limits.spend('query', OPERATION, ownerOf(token))
      using held = requestSignal(reply.raw, { clock: services.clock, draining: undefined })
      const log = around.log.child({ requestId: request.id, operation: OPERATION })
      const newCall = (ends: Pick<WebCallInit, 'signal' | 'giveUp'>) =>
        new WebCall({ around, options, caller, requestId: request.id, ...ends })
      const query = queryOf(request.body)
      return reply.send(
        await answerQuery(schema, query, newCall, {
          signal: held.signal,
          clock: services.clock,
          log,
        }),
      )
    },
  })
}

/** @throws FlapsError flaps.body_bad */
function queryOf(body: unknown): Query {
  if (!Value.Check(querySchema, body)) {
    throw refuse(
      'flaps.body_bad',
      'invalid_argument: the body is no {"query": ..., "variables": {...}}',
    )
  }
  const { query, variables = null, operationName = null } = body
  return { query, variables, operationName }
}
