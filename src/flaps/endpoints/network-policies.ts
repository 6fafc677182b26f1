import { Type } from 'typebox'
import { timeText } from '#flyd'
import { Action } from '#macaroon'
import { ok } from '../answer.ts'
import type { NetworkPolicy } from '../directory.ts'
import { endpoint } from '../endpoint.ts'
import { refuse } from '../errors.ts'
import { okAnswer, text } from './schemas.ts'

const tag = 'Network policies'
const path = '/v1/apps/:app/network_policies'

/** What is not known here is refused: to leave it out would open more than somebody asked for. */
const strict = { additionalProperties: false } as const

const policy = {
  name: text({ description: 'of the app, once' }),
  selector: Type.Object(
    {
      all: Type.Optional(Type.Boolean({ description: 'every machine of the app' })),
      machines: Type.Optional(Type.Array(Type.Object({ id: text() }, strict))),
      metadata: Type.Optional(Type.Record(text(), text())),
    },
    { ...strict, description: 'all that it names must be so of a machine' },
  ),
  rules: Type.Array(
    Type.Object(
      {
        action: Type.Literal('allow'),
        direction: Type.Union([Type.Literal('ingress'), Type.Literal('egress')]),
        ports: Type.Array(
          Type.Object(
            {
              protocol: Type.Union([Type.Literal('tcp'), Type.Literal('udp')]),
              port: Type.Integer({ minimum: 1, maximum: 65_535 }),
            },
            strict,
          ),
          { description: 'none: the direction is closed' },
        ),
      },
      strict,
    ),
    { description: 'one in a direction denies the rest of it' },
  ),
}

const answer = Type.Object({
  ...{ id: text(), ...policy },
  ...{ created_at: text(), updated_at: text() },
})

export const networkPolicyEndpoints = [
  endpoint({
    id: 'App_NetworkPolicies_list',
    method: 'GET',
    path,
    tag,
    summary: "What an app's machines may be reached by, and may reach.",
    answers: { 200: Type.Array(answer) },
    access: { on: 'app', action: Action.read },
    limit: 'action',
    handle: async ({ app, services, signal }) =>
      ok((await services.directory.policies.list(app, signal)).map(policyJson)),
  }),

  endpoint({
    id: 'App_NetworkPolicies_put',
    method: 'POST',
    path,
    tag,
    summary:
      'A new one, or with an `id` in place of that one. Machines have it from their next start on.',
    body: Type.Object({
      id: Type.Optional(text({ description: 'of the one that this replaces' })),
      ...policy,
    }),
    answers: { 200: answer },
    access: { on: 'app', action: Action.write },
    limit: 'action',
    example: {
      body: {
        name: 'web-only',
        selector: { all: true },
        rules: [{ action: 'allow', direction: 'egress', ports: [{ protocol: 'tcp', port: 443 }] }],
      },
    },
    async handle({ app, body, services, by }) {
      const { id, name, selector, rules } = body
      const put = await services.directory.policies.put(app, { id, name, selector, rules }, by)
      return ok(policyJson(put))
    },
  }),

  endpoint({
    id: 'App_NetworkPolicies_delete',
    method: 'DELETE',
    path: `${path}/:policy`,
    tag,
    summary: 'Takes it away, for machines from their next start on.',
    answers: { 200: okAnswer },
    access: { on: 'app', action: Action.delete },
    limit: 'action',
    async handle(call) {
      const { app, services, by } = call
      if (await services.directory.policies.remove(app, call.param('policy'), by)) {
        return ok({ ok: true })
      }
      throw refuse('flaps.not_found', 'not_found: network policy not found')
    },
  }),
]

const policyJson = ({ createdAtMs, updatedAtMs, ...content }: NetworkPolicy) => ({
  ...content,
  created_at: timeText(createdAtMs),
  updated_at: timeText(updatedAtMs),
})
