import { Type } from 'typebox'
import { Action } from '#macaroon'
import { noContent, ok } from '../answer.ts'
import type { Call } from '../call.ts'
import { certificateDetail, certificateSummary } from '../certificate-json.ts'
import { readCustomCertificate } from '../custom-certificate.ts'
import type { AppHostname, AppHostnames } from '../directory.ts'
import { endpoint } from '../endpoint.ts'
import { refuseWithFix } from '../errors.ts'
import { optionalText, optionalWhole } from './schemas.ts'

const tag = 'Certificates'
const path = '/v1/apps/:app/certificates'
const access = (action: number) => ({ on: 'app', action }) as const
const LIMIT = 25
const LIMIT_MAX = 500

const certificateAnswer = Type.Object({
  hostname: Type.String(),
  configured: Type.Boolean({ description: 'DNS leads the name to the app' }),
  acme_requested: Type.Boolean(),
  status: Type.String({
    description:
      '`active`, `pending_validation` or, until DNS says whose it is, `pending_ownership`',
  }),
  certificates: Type.Array(
    Type.Object({
      source: Type.String({
        description: '`custom`: somebody brought it; `fly`: the edges got it',
      }),
      status: Type.String({ description: '`active` or `expired`' }),
      expires_at: Type.String(),
    }),
  ),
  validation_errors: Type.Array(Type.Object({ code: Type.String(), message: Type.String() })),
})

const withWarning = Type.Object({
  ...certificateAnswer.properties,
  warning: Type.Optional(Type.String()),
})

export const certificateEndpoints = [
  endpoint({
    id: 'App_Certificates_list',
    method: 'GET',
    path,
    tag,
    summary: 'Its own host names, by name.',
    query: Type.Object({
      filter: optionalText(),
      cursor: optionalText(),
      limit: optionalWhole(),
    }),
    answers: {
      200: Type.Object({
        certificates: Type.Array(Type.Object({ hostname: Type.String() })),
        next_cursor: Type.Optional(Type.String()),
        total_count: Type.Integer(),
      }),
    },
    access: access(Action.read),
    limit: 'action',
    async handle(call) {
      const { filter = '', cursor = '', limit = LIMIT } = call.query
      const found = (await hostnames(call)).filter(({ hostname }) => hostname.includes(filter))
      const size = Math.min(Math.max(limit, 1), LIMIT_MAX)
      const rest = found.filter(({ hostname }) => hostname > cursor)
      const page = rest.slice(0, size)
      return ok({
        certificates: page.map((one) => certificateSummary(call, one)),
        ...(rest.length > size ? { next_cursor: page.at(-1)?.hostname } : {}),
        total_count: found.length,
      })
    },
  }),

  endpoint({
    id: 'App_Certificates_acme_create',
    method: 'POST',
    path: `${path}/acme`,
    tag,
    summary: 'Asks for a certificate for a host name; the edges get and renew it.',
    body: Type.Object({ hostname: Type.String() }),
    answers: { 201: certificateAnswer },
    access: access(Action.write),
    limit: 'action',
    example: { body: { hostname: 'www.example.com' } },
    async handle(call) {
      const hostname = call.body.hostname.toLowerCase()
      const { app, services, by } = call
      await services.directory.hostnames.add(app, hostname, by)
      return { status: 201, body: await certificateDetail(call, await required(call, hostname)) }
    },
  }),

  endpoint({
    id: 'App_Certificates_custom_create',
    method: 'POST',
    path: `${path}/custom`,
    tag,
    summary: 'Brings a certificate for a host name: the edges serve it before one that they got.',
    body: Type.Object({
      hostname: Type.String(),
      fullchain: Type.String({ description: 'PEM: the certificate, then who signed it' }),
      private_key: Type.String({ description: 'PEM, without a passphrase; RSA or ECDSA' }),
    }),
    answers: { 201: certificateAnswer },
    access: access(Action.write),
    limit: 'action',
    example: {
      body: {
        hostname: 'www.example.com',
        fullchain: '-----BEGIN CERTIFICATE-----\n...',
        private_key: '-----BEGIN PRIVATE KEY-----\n...',
      },
    },
    async handle(call) {
      const { app, services, by, body } = call
      const hostname = body.hostname.toLowerCase()
      const { fullchain, private_key: privateKey } = body
      const input = { hostname, fullchain, privateKey }
      const brought = readCustomCertificate(input, services.clock.nowMs())
      await services.directory.hostnames.setCustom(app, hostname, brought, by)
      return { status: 201, body: await certificateDetail(call, await required(call, hostname)) }
    },
  }),

  endpoint({
    id: 'App_Certificates_show',
    method: 'GET',
    path: `${path}/:hostname`,
    tag,
    summary: 'One: what there is of it, and what DNS must say.',
    answers: { 200: certificateAnswer },
    access: access(Action.read),
    limit: 'action',
    handle: async (call) => ok(await certificateDetail(call, await required(call, nameOf(call)))),
  }),

  endpoint({
    id: 'App_Certificates_check',
    method: 'POST',
    path: `${path}/:hostname/check`,
    tag,
    summary: 'The same, with what DNS says now.',
    answers: { 200: certificateAnswer },
    access: access(Action.write),
    limit: 'action',
    async handle(call) {
      const one = await required(call, nameOf(call))
      const records = await call.services.dns.lookUp(one.hostname, call.signal)
      const { ownershipTxt, acmeChallengeCname, ...plain } = records
      const resolved = {
        ...plain,
        resolved_addresses: [...records.a, ...records.aaaa],
        acme_challenge_cname: acmeChallengeCname[0] ?? '',
        ownership_txt: ownershipTxt.join(';'),
      }
      return ok({ ...(await certificateDetail(call, one, records)), dns_records: resolved })
    },
  }),

  endpoint({
    id: 'App_Certificates_delete',
    method: 'DELETE',
    path: `${path}/:hostname`,
    tag,
    summary: 'Gives a host name up, with its certificates.',
    answers: { 204: null },
    access: access(Action.delete),
    limit: 'action',
    async handle(call) {
      const { app, services, by } = call
      if (await services.directory.hostnames.remove(app, nameOf(call), by)) return noContent
      throw certificateNotFound(nameOf(call))
    },
  }),

  endpoint({
    id: 'App_Certificates_acme_delete',
    method: 'DELETE',
    path: `${path}/:hostname/acme`,
    tag,
    summary: 'Gets no certificate for it any more; the name stays, and one that somebody brought.',
    answers: { 200: withWarning },
    access: access(Action.delete),
    limit: 'action',
    handle: (call) => withoutOne(call, ({ stopAcme }, name) => stopAcme(call.app, name, call.by)),
  }),

  endpoint({
    id: 'App_Certificates_custom_delete',
    method: 'DELETE',
    path: `${path}/:hostname/custom`,
    tag,
    summary: 'Forgets the certificate that somebody brought; the name stays, and what edges get.',
    answers: { 200: withWarning },
    access: access(Action.delete),
    limit: 'action',
    handle: (call) =>
      withoutOne(call, ({ removeCustom }, name) => removeCustom(call.app, name, call.by)),
  }),
]

/** @param remove false: there was none */
async function withoutOne(
  call: Call,
  remove: (hostnames: AppHostnames, name: string) => Promise<boolean>,
) {
  const name = nameOf(call)
  if (!(await remove(call.services.directory.hostnames, name))) throw certificateNotFound(name)
  const one = await required(call, name)
  const detail = await certificateDetail(call, one)
  const isBare = !one.wantsAcme && one.custom === undefined
  return ok(isBare ? { ...detail, warning: `${name} has no certificate any more` } : detail)
}

const nameOf = (call: Call) => call.param('hostname').toLowerCase()

const hostnames = ({ app, services, signal }: Call) =>
  services.directory.hostnames.list(app, signal)

async function required(call: Call, name: string): Promise<AppHostname> {
  const found = (await hostnames(call)).find(({ hostname }) => hostname === name)
  if (found === undefined) throw certificateNotFound(name)
  return found
}

const certificateNotFound = (hostname: string) =>
  refuseWithFix(
    'flaps.not_found',
    `not_found: certificate for ${hostname.slice(0, 253)} not found`,
    '`godwit certs list` shows the names of an app; `godwit certs add` adds one',
  )
