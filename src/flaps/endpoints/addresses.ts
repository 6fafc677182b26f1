import { Type } from 'typebox'
import { timeText } from '#flyd'
import { Action } from '#macaroon'
import { noContent, ok } from '../answer.ts'
import type { Address, AddressKind } from '../directory.ts'
import { endpoint } from '../endpoint.ts'
import { noAddressFree, refuse } from '../errors.ts'
import { optionalText } from './schemas.ts'

const tag = 'IP assignments'
const path = '/v1/apps/:app/ip_assignments'

// biome-ignore format: a list
const kinds: readonly AddressKind[] = ['v4', 'v6', 'shared_v4', 'private_v6', 'egress_v4', 'egress_v6', 'egress_pair']

const addressAnswer = Type.Object({
  ip: Type.Union([Type.String(), Type.Null()]),
  region: Type.String(),
  service_name: Type.String(),
  shared: Type.Boolean(),
  egress: Type.Boolean(),
  created_at: Type.String(),
})

export const addressEndpoints = [
  endpoint({
    id: 'App_IPAssignments_list',
    method: 'GET',
    path,
    tag,
    summary: "An app's addresses.",
    answers: { 200: Type.Object({ ips: Type.Array(addressAnswer) }) },
    access: { on: 'app', action: Action.read },
    limit: 'action',
    async handle({ app, services, signal }) {
      const addresses = await services.directory.addresses.list(app, signal)
      return ok({ ips: addresses.map(addressJson) })
    },
  }),

  endpoint({
    id: 'App_IPAssignments_create',
    method: 'POST',
    path,
    tag,
    summary: 'Gives it one more.',
    body: Type.Object({
      type: Type.String({ description: kinds.join(', ') }),
      region: optionalText(),
      org_slug: optionalText(),
      network: optionalText(),
      service_name: optionalText(),
    }),
    answers: { 200: addressAnswer },
    access: { on: 'app', action: Action.create },
    limit: 'action',
    example: { body: { type: 'v6' } },
    async handle({ app, body, services, by }) {
      const input = {
        kind: checkKind(body.type),
        region: body.region ?? '',
        network: body.network ?? '',
        orgSlug: body.org_slug ?? '',
        serviceName: body.service_name ?? '',
      }
      const given = await services.directory.addresses.assign(app, input, by)
      const [first] = given
      if (first === undefined) {
        throw noAddressFree(input.kind)
      }
      if (input.kind !== 'egress_pair') return ok(addressJson(first))
      const ipOf = (kind: AddressKind) => given.find((one) => one.kind === kind)?.ip
      const pair = { v4: ipOf('egress_v4'), v6: ipOf('egress_v6') }
      return ok({ ...addressJson(first), ip: null, ip_pair: pair })
    },
  }),

  endpoint({
    id: 'App_IPAssignments_delete',
    method: 'DELETE',
    path: `${path}/:ip`,
    tag,
    summary: 'Takes one away.',
    answers: { 204: null },
    access: { on: 'app', action: Action.delete },
    limit: 'action',
    async handle(call) {
      const { app, services, by } = call
      const ip = call.param('ip')
      if (await services.directory.addresses.release(app, ip, by)) return noContent
      throw refuse('flaps.not_found', `not_found: IP address ${ip} not found`)
    },
  }),
]

function checkKind(type: string): AddressKind {
  const kind = kinds.find((known) => known === type)
  if (kind !== undefined) return kind
  throw refuse(
    'flaps.argument_bad',
    `invalid_argument: invalid type '${type}': use ${kinds.join(', ')}`,
  )
}

const addressJson = ({ ip, kind, region, serviceName, network, createdAtMs }: Address) => ({
  ip,
  region: region || 'global',
  service_name: serviceName,
  shared: kind === 'shared_v4',
  egress: kind.startsWith('egress'),
  network: network === undefined ? null : { name: network.name, org_slug: network.orgSlug },
  created_at: timeText(createdAtMs),
})
