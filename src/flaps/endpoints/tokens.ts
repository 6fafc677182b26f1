import { Type } from 'typebox'
import {
  type Access,
  appScope,
  caveatsOf,
  caveatsToJson,
  parseActions,
  printExactJson,
  tokenUuid,
  type VerifiedToken,
} from '#macaroon'
import { type Answer, ok } from '../answer.ts'
import type { Call } from '../call.ts'
import { Caller, organizationOf } from '../caller.ts'
import { endpoint } from '../endpoint.ts'
import { appNotFound, machineNotFound, organizationNotFound, refuse } from '../errors.ts'
import { optionalText } from './schemas.ts'

const tag = 'Tokens'
const asksForItself = 'the header in the body is what is judged'

const accessFields = Type.Object({
  action: optionalText(),
  org_slug: optionalText(),
  org_feature: optionalText(),
  app_name: optionalText(),
  app_feature: optionalText(),
  machine_id: optionalText(),
  machine_feature: optionalText(),
  volume_id: optionalText(),
  storage_object: optionalText(),
  mutation: optionalText(),
  command: Type.Optional(Type.Array(Type.String())),
  source_machine: optionalText(),
})

interface AccessFields {
  readonly action?: string
  readonly org_slug?: string
  readonly org_feature?: string
  readonly app_name?: string
  readonly app_feature?: string
  readonly machine_id?: string
  readonly machine_feature?: string
  readonly volume_id?: string
  readonly storage_object?: string
  readonly mutation?: string
  readonly command?: readonly string[]
  readonly source_machine?: string
}

export const tokenEndpoints = [
  endpoint({
    id: 'CurrentToken_show',
    method: 'GET',
    path: '/v1/tokens/current',
    tag,
    summary: 'What the tokens of this request are for.',
    answers: { 200: Type.Object({ tokens: Type.Array(Type.Object({})) }) },
    access: { on: 'token' },
    limit: 'none',
    async handle(call) {
      const tokens = await Promise.all(call.caller.tokens.map((token) => tokenJson(token, call)))
      return ok({ tokens })
    },
  }),

  endpoint({
    id: 'Tokens_authenticate',
    method: 'POST',
    path: '/v1/tokens/authenticate',
    tag,
    summary: 'Which tokens of a header are genuine, and what they say.',
    body: Type.Object({ header: Type.String() }),
    answers: { 200: Type.Array(Type.Object({})) },
    access: { on: 'nothing', why: asksForItself },
    limit: 'none',
    example: { body: { header: 'fm2_…' } },
    async handle({ body, services }) {
      const { tokens } = new Caller(body.header, services.directory.verifier)
      return exactJson(tokens.map(verifiedJson))
    },
  }),

  endpoint({
    id: 'Tokens_authorize',
    method: 'POST',
    path: '/v1/tokens/authorize',
    tag,
    summary: 'Whether a header allows an access.',
    body: Type.Object({ header: Type.String(), access: accessFields }),
    answers: { 200: Type.Object({ access: Type.Object({}), verified_token: Type.Object({}) }) },
    access: { on: 'nothing', why: asksForItself },
    limit: 'none',
    example: { body: { header: 'fm2_…', access: { action: 'r', org_slug: 'birds' } } },
    async handle(call) {
      const { body, services } = call
      const caller = new Caller(body.header, services.directory.verifier)
      const access = await resolveAccess(body.access, call)
      const token = caller.require(access, services.clock.nowMs())
      return exactJson({ access: body.access, verified_token: verifiedJson(token) })
    },
  }),
]

/** Ids in caveats may be larger than JSON.parse keeps whole. */
const exactJson = (body: unknown): Answer => ({
  status: 200,
  body: printExactJson(body as Parameters<typeof printExactJson>[0]),
  headers: { 'content-type': 'application/json; charset=utf-8' },
})

const verifiedJson = ({ macaroon, caveats }: VerifiedToken) => ({
  caveats: caveatsToJson(caveats),
  nonce: {
    kid: Buffer.from(macaroon.nonce.kid).toString('base64'),
    rnd: Buffer.from(macaroon.nonce.random).toString('base64'),
    proof: macaroon.nonce.isProof,
  },
})

async function tokenJson(token: VerifiedToken, { services, signal }: Call): Promise<object> {
  const { caveats } = token
  const orgId = organizationOf(token)
  const organization =
    orgId === undefined ? undefined : await services.directory.organizationOfToken(orgId, signal)
  const appIds = appScope(caveats)
  const apps =
    organization === undefined ? [] : await services.directory.apps(organization, { signal })
  const [source] = caveatsOf(caveats, 'FromMachineSource')
  const [machines] = caveatsOf(caveats, 'Machines')
  return {
    token_id: tokenUuid(token.macaroon.nonce),
    organization: organization?.name ?? '',
    org_slug: organization?.slug ?? '',
    apps:
      appIds === undefined
        ? ['*']
        : apps.filter(({ numericId }) => appIds.includes(numericId)).map(({ name }) => name),
    user: '',
    restricted_to_machine: [...(machines?.machines?.keys() ?? [])].join(','),
    source_machine_id: source?.id ?? '',
  }
}

/** Names to ids, and parents of what is named. @throws FlapsError flaps.not_found */
async function resolveAccess(fields: AccessFields, call: Call): Promise<Access> {
  const { directory, rows } = call.services
  const app = fields.app_name ? await directory.app(fields.app_name, call.signal) : undefined
  if (fields.app_name && app === undefined) throw appNotFound(fields.app_name)
  const slug = fields.org_slug ?? app?.organization.slug
  if (slug === undefined) {
    throw refuse('flaps.argument_bad', 'invalid_argument: access names no org_slug and no app_name')
  }
  const organization = await directory.organization(slug, call.signal)
  if (organization === undefined || (app && app.organization.id !== organization.id)) {
    throw organizationNotFound(slug)
  }
  const { machine_id: machine, volume_id: volume } = fields
  if (machine && rows.whereIsMachine(machine)?.appId !== app?.id) throw machineNotFound()
  if (volume && rows.whereIsVolume(volume)?.appId !== app?.id) {
    throw refuse('flaps.not_found', 'not_found: volume not found')
  }
  return withoutAbsent({
    action: parseActions(fields.action ?? ''),
    orgId: organization.numericId,
    appId: app?.numericId,
    feature: fields.org_feature,
    appFeature: fields.app_feature,
    machine,
    machineFeature: fields.machine_feature,
    volume,
    storageObject: fields.storage_object,
    mutation: fields.mutation,
    command: fields.command,
    sourceMachine: fields.source_machine,
  }) as unknown as Access
}

const withoutAbsent = (access: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(access).filter(([, value]) => value !== undefined))
