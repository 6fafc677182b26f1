import { Type } from 'typebox'
import type { MachineConfigJson } from '#flyd'
import { Action } from '#macaroon'
import { done, ok } from '../answer.ts'
import { createMachine } from '../create-machine.ts'
import { endpoint } from '../endpoint.ts'
import { refuse } from '../errors.ts'
import { summaryOf } from '../machine-json.ts'
import { fromSource, publicLease, readMachine, readMachines } from '../machine-reads.ts'
import { noteWrite } from '../machine-write.ts'
import { metadataFilters } from '../query-string.ts'
import {
  configInput,
  machineAnswer,
  okAnswer,
  optionalFlag,
  optionalText,
  optionalWhole,
} from './schemas.ts'

const tag = 'Machines'

const launchFields = {
  config: configInput,
  name: optionalText(),
  region: optionalText(),
  skip_launch: optionalFlag(),
  skip_service_registration: optionalFlag(),
  skip_secrets: optionalFlag(),
  min_secrets_version: Type.Optional(Type.Integer({ minimum: 0 })),
  lease_ttl: Type.Optional(Type.Integer({ minimum: 0 })),
  lsvd: optionalFlag(),
}

const consistent = Type.Optional(
  Type.Boolean({ description: 'ask the host instead of the local replica' }),
)

export const machineEndpoints = [
  endpoint({
    id: 'Machines_list',
    method: 'GET',
    path: '/v1/apps/:app/machines',
    tag,
    summary: "An app's machines. `metadata.<key>=<value>` filters, too.",
    query: Type.Object({
      include_deleted: optionalFlag(),
      include_leases: optionalFlag(),
      region: optionalText(),
      state: Type.Optional(Type.Array(Type.String())),
      summary: optionalFlag(),
      consistent,
    }),
    answers: { 200: Type.Array(machineAnswer) },
    access: { on: 'app', action: Action.read },
    limit: 'getMachine',
    async handle(call) {
      const { query, app } = call
      const filter = {
        appId: app.id,
        includeDeleted: query.include_deleted ?? false,
        ...(query.region === undefined ? {} : { region: query.region }),
        states: query.state ?? [],
        metadata: metadataFilters(call.rawQuery),
      }
      const { machines, source } = await readMachines(call, filter, {
        consistent: query.consistent ?? false,
      })
      return fromSource(source, query.summary ? machines.map(summaryOf) : machines)
    },
  }),

  endpoint({
    id: 'Machines_create',
    method: 'POST',
    path: '/v1/apps/:app/machines',
    tag,
    summary: 'Creates a machine, and starts it unless told not to.',
    body: Type.Object(launchFields),
    answers: { 200: machineAnswer },
    access: { on: 'newMachine', action: Action.create },
    limit: 'action',
    example: { body: { name: 'first', region: 'ams', config: { image: 'nginx' } } },
    handle: async (call) => ok(await createMachine(call, call.body)),
  }),

  endpoint({
    id: 'Machines_show',
    method: 'GET',
    path: '/v1/apps/:app/machines/:machine',
    tag,
    summary: 'One machine.',
    query: Type.Object({ include_leases: optionalFlag(), consistent }),
    answers: { 200: machineAnswer },
    access: { on: 'machine', action: Action.read },
    limit: 'getMachine',
    async handle(call) {
      const { query, services, signal } = call
      const read = await readMachine(call, { consistent: query.consistent ?? false })
      if (!query.include_leases) return fromSource(read.source, read.machine)
      const host = services.fleet.host(call.machine.hostId)
      const lease = await host.lease(call.machine.id, signal)
      const shown = lease === undefined ? {} : { lease: publicLease(lease) }
      return fromSource(read.source, { ...read.machine, ...shown })
    },
  }),

  endpoint({
    id: 'Machines_update',
    method: 'POST',
    path: '/v1/apps/:app/machines/:machine',
    tag,
    summary: 'Replaces the whole configuration. `current_version` guards against another update.',
    body: Type.Object({ ...launchFields, current_version: optionalText() }),
    answers: { 200: machineAnswer },
    access: { on: 'machine', action: Action.write },
    limit: 'action',
    example: { body: { config: { image: 'nginx:1.27' } } },
    async handle(call) {
      const { body, machine, services, signal } = call
      refuseMove(call.services.rows.machine(machine.id)?.json, body)
      const updated = await services.fleet.host(machine.hostId).update(
        machine.id,
        {
          config: body.config as MachineConfigJson,
          currentVersion: body.current_version || undefined,
          skipLaunch: body.skip_launch ?? false,
          skipSecrets: body.skip_secrets ?? false,
          minSecretsVersion: body.min_secrets_version ?? 0,
          leaseTtlS: body.lease_ttl ?? 0,
          owner: call.owner,
          nonce: call.leaseNonce,
        },
        signal,
      )
      noteWrite(call)
      return ok(updated)
    },
  }),

  endpoint({
    id: 'Machines_delete',
    method: 'DELETE',
    path: '/v1/apps/:app/machines/:machine',
    tag,
    summary: 'Destroys a machine; a running one only with `force`.',
    query: Type.Object({ force: optionalFlag(), kill: optionalFlag() }),
    answers: { 200: okAnswer },
    access: { on: 'machine', action: Action.delete },
    limit: 'action',
    async handle(call) {
      const { query, machine, services, signal, leaseNonce: nonce } = call
      const force = (query.force ?? false) || (query.kill ?? false)
      await services.fleet.host(machine.hostId).destroy(machine.id, { force, nonce }, signal)
      noteWrite(call)
      return done
    },
  }),

  endpoint({
    id: 'Machines_list_events',
    method: 'GET',
    path: '/v1/apps/:app/machines/:machine/events',
    tag,
    summary: 'What happened to it, newest first.',
    query: Type.Object({ limit: optionalWhole() }),
    answers: { 200: Type.Array(Type.Object({})) },
    access: { on: 'machine', action: Action.read },
    limit: 'action',
    async handle({ query, machine, services, signal }) {
      const limit = Math.min(Math.max(query.limit ?? EVENTS_DEFAULT, 1), EVENTS_MAX)
      return ok(await services.fleet.host(machine.hostId).events(machine.id, limit, signal))
    },
  }),

  endpoint({
    id: 'Machines_list_versions',
    method: 'GET',
    path: '/v1/apps/:app/machines/:machine/versions',
    tag,
    summary: 'Every configuration it has had.',
    answers: { 200: Type.Array(Type.Object({ version: Type.String(), user_config: configInput })) },
    access: { on: 'machine', action: Action.read },
    limit: 'action',
    handle: async ({ machine, services, signal }) =>
      ok(await services.fleet.host(machine.hostId).versions(machine.id, signal)),
  }),
]

const EVENTS_DEFAULT = 20
const EVENTS_MAX = 50

/** Name and region are for life; a body that repeats them is what a GET answered. */
function refuseMove(
  present: { name: string; region: string } | undefined,
  asked: { name?: string; region?: string },
): void {
  for (const field of ['name', 'region'] as const) {
    const wanted = asked[field]
    if (present === undefined || !wanted || wanted === present[field]) continue
    throw refuse(
      'flaps.argument_bad',
      `invalid_argument: ${field} of a machine cannot be changed from '${present[field]}' to '${wanted}'`,
    )
  }
}
