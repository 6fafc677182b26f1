import { Type } from 'typebox'
import { timeText } from '#flyd'
import { Action } from '#macaroon'
import { noContent, ok } from '../answer.ts'
import type { Call } from '../call.ts'
import type { KeyUse, SecretKey } from '../directory.ts'
import { endpoint } from '../endpoint.ts'
import { refuse } from '../errors.ts'
import { optionalText } from './schemas.ts'

const tag = 'Secret keys'
const path = '/v1/apps/:app/secretkeys'
const onePath = `${path}/:name`
const access = (action: number) => ({ on: 'app', action, feature: 'secrets' }) as const

const keyFields = {
  name: Type.String(),
  type: Type.String(),
  public_key: Type.Optional(Type.String({ description: 'base64' })),
  created_at: Type.String(),
  updated_at: Type.String(),
}
const keyAnswer = Type.Object(keyFields)
const keyMade = Type.Object({ ...keyFields, version: Type.Integer() })
const bytesInput = Type.String({ description: 'base64' })

const readQuery = Type.Object({
  min_version: Type.Optional(Type.Integer({ minimum: 0 })),
  version: Type.Optional(Type.Integer({ minimum: 0 })),
  types: optionalText(),
})

export const secretKeyEndpoints = [
  endpoint({
    id: 'SecretKeys_list',
    method: 'GET',
    path,
    tag,
    summary: 'Names, types and public halves.',
    query: readQuery,
    answers: { 200: Type.Object({ secret_keys: Type.Array(keyAnswer) }) },
    access: access(Action.read),
    limit: 'action',
    async handle(call) {
      const types = call.query.types?.split(',').filter((type) => type !== '')
      const keys = await list(call, call.query)
      const asked = keys.filter(({ type }) => types === undefined || types.includes(type))
      return ok({ secret_keys: asked.map(keyJson) })
    },
  }),

  endpoint({
    id: 'SecretKey_show',
    method: 'GET',
    path: onePath,
    tag,
    summary: 'One.',
    query: readQuery,
    answers: { 200: keyAnswer },
    access: access(Action.read),
    limit: 'action',
    async handle(call) {
      const found = (await list(call, call.query)).find(({ name }) => name === call.param('name'))
      if (found !== undefined) return ok(keyJson(found))
      throw refuse('flaps.not_found', `not_found: secret key ${call.param('name')} not found`)
    },
  }),

  endpoint({
    id: 'SecretKey_set',
    method: 'POST',
    path: onePath,
    tag,
    summary: 'Sets one, in the place of one of that name.',
    body: Type.Object({ type: Type.String(), value: bytesInput }),
    answers: { 201: keyMade },
    access: access(Action.write),
    limit: 'action',
    example: { body: { type: 'hs256', value: Buffer.alloc(32, 7).toString('base64') } },
    handle: (call) => make(call, bytesOf('value', call.body.value)),
  }),

  endpoint({
    id: 'SecretKey_generate',
    method: 'POST',
    path: `${onePath}/generate`,
    tag,
    summary: 'Makes a new one, in the place of one of that name.',
    body: Type.Object({ type: Type.String() }),
    answers: { 201: keyMade },
    access: access(Action.write),
    limit: 'action',
    example: { body: { type: 'xaes256gcm' } },
    handle: (call) => make(call, undefined),
  }),

  endpoint({
    id: 'SecretKey_delete',
    method: 'DELETE',
    path: onePath,
    tag,
    summary: 'Removes one. What was encrypted with it stays so for ever.',
    answers: { 200: Type.Object({ version: Type.Integer() }) },
    access: access(Action.delete),
    limit: 'action',
    async handle(call) {
      const { app, services, by } = call
      const version = await services.directory.secretKeys.remove(app, call.param('name'), by)
      return ok({ version, Version: version })
    },
  }),

  endpoint({
    id: 'SecretKey_encrypt',
    method: 'POST',
    path: `${onePath}/encrypt`,
    tag,
    summary: 'Encrypts; a key pair needs no secret for it, but this call does.',
    body: Type.Object({ plaintext: bytesInput, associated_data: Type.Optional(bytesInput) }),
    answers: { 200: Type.Object({ ciphertext: Type.String() }) },
    access: access(Action.control),
    limit: 'none',
    example: { body: { plaintext: 'aGVyb24=' } },
    async handle(call) {
      const { plaintext, associated_data: aad } = call.body
      const associatedData = aad === undefined ? undefined : bytesOf('associated_data', aad)
      const bytes = bytesOf('plaintext', plaintext)
      return ok({
        ciphertext: await use(call, { to: 'encrypt', plaintext: bytes, associatedData }),
      })
    },
  }),

  endpoint({
    id: 'SecretKey_decrypt',
    method: 'POST',
    path: `${onePath}/decrypt`,
    tag,
    summary: 'Decrypts what this key encrypted; anything else is 400.',
    body: Type.Object({ ciphertext: bytesInput, associated_data: Type.Optional(bytesInput) }),
    answers: { 200: Type.Object({ plaintext: Type.String() }) },
    access: access(Action.control),
    limit: 'none',
    example: { body: { ciphertext: 'AAAA' } },
    async handle(call) {
      const { ciphertext, associated_data: aad } = call.body
      const associatedData = aad === undefined ? undefined : bytesOf('associated_data', aad)
      const bytes = bytesOf('ciphertext', ciphertext)
      return ok({
        plaintext: await use(call, { to: 'decrypt', ciphertext: bytes, associatedData }),
      })
    },
  }),

  endpoint({
    id: 'SecretKey_sign',
    method: 'POST',
    path: `${onePath}/sign`,
    tag,
    summary: 'Signs.',
    body: Type.Object({ plaintext: bytesInput }),
    answers: { 200: Type.Object({ signature: Type.String() }) },
    access: access(Action.control),
    limit: 'none',
    example: { body: { plaintext: 'aGVyb24=' } },
    async handle(call) {
      const plaintext = bytesOf('plaintext', call.body.plaintext)
      return ok({ signature: await use(call, { to: 'sign', plaintext }) })
    },
  }),

  endpoint({
    id: 'SecretKey_verify',
    method: 'POST',
    path: `${onePath}/verify`,
    tag,
    summary: 'Whether this key made a signature: 204, else 400.',
    body: Type.Object({ plaintext: bytesInput, signature: bytesInput }),
    answers: { 204: null },
    access: access(Action.control),
    limit: 'none',
    example: { body: { plaintext: 'aGVyb24=', signature: 'AAAA' } },
    async handle(call) {
      const plaintext = bytesOf('plaintext', call.body.plaintext)
      const signature = bytesOf('signature', call.body.signature)
      await use(call, { to: 'verify', plaintext, signature })
      return noContent
    },
  }),
]

const list = (
  { app, services, signal }: Call,
  query: { min_version?: number; version?: number },
): Promise<readonly SecretKey[]> =>
  services.directory.secretKeys.list(app, {
    minVersion: query.min_version ?? query.version ?? 0,
    signal,
  })

async function make(call: Call<unknown, { type: string }>, key: Uint8Array | undefined) {
  const { app, services, by, body } = call
  const input = { name: call.param('name'), type: body.type, key }
  const made = await services.directory.secretKeys.set(app, input, by)
  const { version } = made
  return { status: 201, body: { ...keyJson(made.key), version, Version: version } }
}

async function use(call: Call, how: KeyUse): Promise<string> {
  const { app, services } = call
  const bytes = await services.directory.secretKeys.use(app, call.param('name'), how)
  return Buffer.from(bytes).toString('base64')
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** Strictly, as Go reads bytes in JSON. @throws FlapsError flaps.argument_bad */
function bytesOf(name: string, text: string): Uint8Array {
  if (BASE64.test(text)) return Buffer.from(text, 'base64')
  throw refuse('flaps.argument_bad', `invalid_argument: ${name} is not base64`)
}

const keyJson = ({ name, type, publicKey, createdAtMs, updatedAtMs }: SecretKey) => ({
  name,
  type,
  ...(publicKey === undefined ? {} : { public_key: Buffer.from(publicKey).toString('base64') }),
  created_at: timeText(createdAtMs),
  updated_at: timeText(updatedAtMs),
})
