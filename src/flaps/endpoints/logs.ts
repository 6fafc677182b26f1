import { Type } from 'typebox'
import { Action } from '#macaroon'
import { ok } from '../answer.ts'
import { endpoint } from '../endpoint.ts'
import type { LogLine } from '../logs.ts'
import { optionalText, text } from './schemas.ts'

/** How long a page without lines is held: so that a reader who asks at once asks once a second. */
const HOLD_MS = 1_000

const lineAnswer = Type.Object({
  id: text(),
  attributes: Type.Object({
    timestamp: text({ description: 'RFC 3339 with nanoseconds' }),
    message: text(),
    level: text(),
    instance: text({ description: 'the machine' }),
    region: text(),
    meta: Type.Object({}),
  }),
})

export const logEndpoints = [
  endpoint({
    id: 'Logs_list',
    method: 'GET',
    path: '/v1/apps/:app/logs',
    tag: 'Logs',
    summary:
      'A page of what its machines wrote and what became of them, oldest first; without `next_token` the last 100 lines of a day. ' +
      'A page without lines comes after a second.',
    query: Type.Object({
      next_token: optionalText(),
      instance: optionalText(),
      region: optionalText(),
    }),
    answers: {
      200: Type.Object({
        data: Type.Array(lineAnswer),
        meta: Type.Object({ next_token: text() }),
      }),
    },
    access: { on: 'app', action: Action.read },
    limit: 'none',
    async handle({ app, query, services, signal }) {
      const { lines, next } = await services.logs.read(app.name, {
        sinceMs: app.createdAtMs,
        from: query.next_token || undefined,
        machine: query.instance || undefined,
        region: query.region || undefined,
        holdMs: query.next_token ? HOLD_MS : 0,
        signal,
      })
      return ok({ data: lines.map(lineJson), meta: { next_token: next } })
    },
  }),
]

const lineJson = ({ id, timestamp, message, level, machine, region, provider }: LogLine) => ({
  id,
  attributes: {
    ...{ timestamp, message, level, region, instance: machine },
    meta: { Event: { Provider: provider } },
  },
})
