import { Type } from 'typebox'
import { Action } from '#macaroon'
import type { Call } from '../call.ts'
import { endpoint } from '../endpoint.ts'
import { refuse } from '../errors.ts'
import { publicLease } from '../machine-reads.ts'
import { optionalText, optionalWhole } from './schemas.ts'

const path = '/v1/apps/:app/machines/:machine/lease'
const tag = 'Leases'

const leaseAnswer = Type.Object({
  status: Type.Literal('success'),
  data: Type.Object({
    nonce: Type.Optional(Type.String({ description: 'only for those who may write' })),
    expires_at: Type.Integer({ description: 'Unix seconds' }),
    owner: Type.String(),
    description: Type.String(),
    version: Type.String(),
  }),
})

const TTL_S_DEFAULT = 30
const TTL_S_MAX = 24 * 3600
const DESCRIPTION_CHARS_MAX = 500

export const machineLeaseEndpoints = [
  endpoint({
    id: 'Machines_show_lease',
    method: 'GET',
    path,
    tag,
    summary: 'The lease that somebody holds.',
    answers: { 200: leaseAnswer },
    access: { on: 'machine', action: Action.read },
    limit: 'action',
    async handle(call) {
      const { machine, services, signal } = call
      const lease = await services.fleet.host(machine.hostId).lease(machine.id, signal)
      if (lease === undefined) throw refuse('flaps.not_found', 'not_found: lease not found')
      const shown = mayWrite(call) ? lease : { ...publicLease(lease), version: lease.version }
      return success(200, shown)
    },
  }),

  endpoint({
    id: 'Machines_create_lease',
    method: 'POST',
    path,
    tag,
    summary: 'Takes the lease, or prolongs it with the nonce in `fly-machine-lease-nonce`.',
    query: Type.Object({ ttl: optionalWhole() }),
    body: Type.Object({ ttl: optionalWhole(), description: optionalText() }),
    answers: { 201: leaseAnswer },
    access: { on: 'machine', action: Action.write },
    limit: 'action',
    example: { body: { ttl: 60, description: 'deploying' } },
    async handle(call) {
      const { query, body, machine, services, signal } = call
      const ttlS = checkTtl(query.ttl ?? body.ttl ?? 0)
      const options = {
        ttlS,
        owner: call.owner,
        description: (body.description ?? '').slice(0, DESCRIPTION_CHARS_MAX),
        nonce: call.leaseNonce,
      }
      const host = services.fleet.host(machine.hostId)
      return success(201, await host.acquireLease(machine.id, options, signal))
    },
  }),

  endpoint({
    id: 'Machines_release_lease',
    method: 'DELETE',
    path,
    tag,
    summary: 'Gives the lease back; its nonce is in `fly-machine-lease-nonce`.',
    answers: {
      200: Type.Object({
        status: Type.Literal('success'),
        data: Type.Object({ ok: Type.Boolean() }),
      }),
    },
    access: { on: 'machine', action: Action.write },
    limit: 'action',
    async handle({ machine, services, signal, leaseNonce }) {
      if (leaseNonce === undefined) {
        throw refuse('flaps.argument_bad', 'invalid_argument: lease nonce is required')
      }
      await services.fleet.host(machine.hostId).releaseLease(machine.id, leaseNonce, signal)
      return success(200, { ok: true })
    },
  }),
]

const success = (status: number, data: unknown) => ({ status, body: { status: 'success', data } })

/** Who has the nonce can act as the holder: it is not for those who may only look. */
const mayWrite = (call: Call) =>
  call.allows({
    action: Action.write,
    orgId: call.organization.numericId,
    appId: call.app.numericId,
    machine: call.machine.id,
  })

function checkTtl(ttlS: number): number {
  if (ttlS >= 0 && ttlS <= TTL_S_MAX) return ttlS === 0 ? TTL_S_DEFAULT : ttlS
  throw refuse('flaps.argument_bad', `invalid_argument: invalid ttl: use 1 to ${TTL_S_MAX} seconds`)
}
