import { Type } from 'typebox'
import { timeText } from '#flyd'
import { Action } from '#macaroon'
import { ok } from '../answer.ts'
import type { Call } from '../call.ts'
import type { SecretDigest } from '../directory.ts'
import { endpoint } from '../endpoint.ts'
import { refuse } from '../errors.ts'
import { optionalFlag } from './schemas.ts'

const tag = 'Secrets'
const path = '/v1/apps/:app/secrets'
const access = (action: number) => ({ on: 'app', action, feature: 'secrets' }) as const

const secretAnswer = Type.Object({
  name: Type.String(),
  digest: Type.String({ description: 'tells whether two values are the same' }),
  created_at: Type.String(),
  updated_at: Type.String(),
})

const readQuery = Type.Object({
  min_version: Type.Optional(Type.Integer({ minimum: 0 })),
  version: Type.Optional(Type.Integer({ minimum: 0 })),
  show_secrets: optionalFlag(),
})

/** Becomes the name of an environment variable. Source: POSIX.1-2024, 8.1, without lower-case. */
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,254}$/

export const secretEndpoints = [
  endpoint({
    id: 'Secrets_list',
    method: 'GET',
    path,
    tag,
    summary: 'Names and digests. Values are never shown, `show_secrets` or not.',
    query: readQuery,
    answers: { 200: Type.Object({ secrets: Type.Array(secretAnswer) }) },
    access: access(Action.read),
    limit: 'action',
    handle: async (call) => ok({ secrets: (await list(call, call.query)).map(secretJson) }),
  }),

  endpoint({
    id: 'Secrets_update',
    method: 'POST',
    path,
    tag,
    summary: 'Sets several at once, as one version; null removes.',
    body: Type.Object({
      values: Type.Record(Type.String(), Type.Union([Type.String(), Type.Null()])),
    }),
    nullIs: 'value',
    answers: {
      200: Type.Object({ secrets: Type.Array(secretAnswer), version: Type.Integer() }),
    },
    access: access(Action.write),
    limit: 'action',
    example: { body: { values: { DATABASE_URL: 'postgres://…', OLD: null } } },
    async handle(call) {
      const { version, secrets } = await set(call, call.body.values)
      return ok({ secrets: secrets.map(secretJson), version, Version: version })
    },
  }),

  endpoint({
    id: 'Secret_show',
    method: 'GET',
    path: `${path}/:name`,
    tag,
    summary: 'One.',
    query: readQuery,
    answers: { 200: secretAnswer },
    access: access(Action.read),
    limit: 'action',
    async handle(call) {
      const found = (await list(call, call.query)).find(({ name }) => name === call.param('name'))
      if (found === undefined) throw secretNotFound(call)
      return ok(secretJson(found))
    },
  }),

  endpoint({
    id: 'Secret_create',
    method: 'POST',
    path: `${path}/:name`,
    tag,
    summary: 'Sets one.',
    body: Type.Object({ value: Type.String() }),
    answers: { 201: secretAnswer },
    access: access(Action.write),
    limit: 'action',
    example: { body: { value: 'postgres://…' } },
    async handle(call) {
      const name = call.param('name')
      const { version, secrets } = await set(call, { [name]: call.body.value })
      const stored = secrets.find((one) => one.name === name)
      if (stored === undefined) throw secretNotFound(call) // somebody removed it at once
      return { status: 201, body: { ...secretJson(stored), version, Version: version } }
    },
  }),

  endpoint({
    id: 'Secret_delete',
    method: 'DELETE',
    path: `${path}/:name`,
    tag,
    summary: 'Removes one.',
    answers: { 200: Type.Object({ version: Type.Integer() }) },
    access: access(Action.delete),
    limit: 'action',
    async handle(call) {
      const { version } = await set(call, { [call.param('name')]: null })
      return ok({ version, Version: version })
    },
  }),
]

function list(
  { app, services, signal }: Call,
  query: { min_version?: number; version?: number },
): Promise<readonly SecretDigest[]> {
  const minVersion = query.min_version ?? query.version ?? 0
  return services.directory.secrets.list(app, { minVersion, signal })
}

function set({ app, services, by }: Call, values: Readonly<Record<string, string | null>>) {
  const bad = Object.keys(values).find((name) => !NAME.test(name))
  if (bad !== undefined) {
    throw refuse(
      'flaps.argument_bad',
      `invalid_argument: invalid secret name '${bad.slice(0, 60)}': use letters, digits and '_'`,
    )
  }
  return services.directory.secrets.set(app, values, by)
}

const secretNotFound = (call: Call) =>
  refuse('flaps.not_found', `not_found: secret ${call.param('name')} not found`)

const secretJson = ({ name, digest, createdAtMs, updatedAtMs }: SecretDigest) => ({
  name,
  digest,
  created_at: timeText(createdAtMs),
  updated_at: timeText(updatedAtMs),
})
