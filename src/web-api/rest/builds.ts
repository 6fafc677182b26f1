import { Type } from 'typebox'
import { type Endpoint, endpoint, ok } from '#flaps'
import { Action } from '#macaroon'

const tag = 'Web'
const access = { on: 'app', action: Action.write, nameFrom: 'body' } as const

const buildAnswer = Type.Object({
  id: Type.Integer(),
  status: Type.String(),
  wallclock_time_ms: Type.Integer(),
})

/**
 * Clients tell when they build, and how it went. Nothing is kept of it: what was deployed is a release. The number
 * is the time, so that one build of a client is told from its next.
 */
export const buildEndpoints: readonly Endpoint[] = [
  endpoint({
    id: 'Web_builds_create',
    method: 'POST',
    path: '/api/v1/builds',
    tag,
    summary: 'A build begins.',
    body: Type.Object({ app_name: Type.String() }),
    answers: { 200: buildAnswer },
    access,
    limit: 'action',
    handle: async ({ services }) =>
      ok({ id: services.clock.nowMs(), status: 'building', wallclock_time_ms: 0 }),
  }),

  endpoint({
    id: 'Web_builds_finish',
    method: 'POST',
    path: '/api/v1/builds/finish',
    tag,
    summary: 'A build has ended.',
    body: Type.Object({
      app_name: Type.String(),
      build_id: Type.Integer(),
      status: Type.String(),
    }),
    answers: { 200: buildAnswer },
    access,
    limit: 'action',
    async handle({ body, services }) {
      const { build_id: id, status } = body
      const took = services.clock.nowMs() - id
      return ok({
        id,
        status,
        wallclock_time_ms: Number.isSafeInteger(took) ? Math.max(0, took) : 0,
      })
    },
  }),
]
