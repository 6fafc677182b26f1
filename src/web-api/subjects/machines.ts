import { isMachineId, isVolumeId } from '#base'
import { type App, type MachineRow, refuse } from '#flaps'
import { Action } from '#macaroon'
import { freeJson } from '../graphql/scalars.ts'
import { nodes, type Subject } from '../graphql/subject.ts'
import type { WebCall } from '../web-call.ts'
import { machinesOf } from './apps.ts'

/** The prefix of a machine's own network. */
const MASK_BITS = 112

interface MachineOfApp {
  readonly app: App
  readonly row: MachineRow
}

export const machines: Subject = {
  sdl: `
    extend type Query { machine(machineId: String!): GqlMachine volume(id: ID!): Volume }
    extend type App {
      machines(first: Int): GqlMachineConnection! allocations(showCompleted: Boolean): [Allocation!]!
    }
    type GqlMachineConnection { nodes: [GqlMachine!]! }
    type GqlMachine {
      id: ID! name: String! state: String! region: String! config: JSON instanceId: String
      createdAt: ISO8601DateTime updatedAt: ISO8601DateTime app: App! host: Host
      ips: MachineIpConnection!
    }
    type Host { id: ID! }
    type MachineIpConnection { nodes: [MachineIp!]! }
    type MachineIp { kind: String! family: String! ip: String! maskSize: Int! }
    type Allocation { id: ID! region: String! privateIP: String status: String }
    type Volume { id: ID! name: String state: String! region: String sizeGb: Int app: App! }
  `,
  resolvers: {
    Query: { machine: findMachine, volume: findVolume },
    App: {
      machines: (app: App, _args: unknown, call: WebCall) =>
        nodes(machinesOf(app, call).map((row) => ({ app, row }))),
      allocations: (app: App, _args: unknown, call: WebCall) =>
        machinesOf(app, call).map(({ json }) => ({
          ...{ id: json.id, region: json.region, privateIP: json.private_ip, status: json.state },
        })),
    },
    GqlMachine: {
      id: ({ row }: MachineOfApp) => row.id,
      name: ({ row }: MachineOfApp) => row.json.name,
      state: ({ row }: MachineOfApp) => row.json.state,
      region: ({ row }: MachineOfApp) => row.json.region,
      instanceId: ({ row }: MachineOfApp) => row.json.instance_id,
      config: ({ row: { json } }: MachineOfApp, _args: unknown, call: WebCall) =>
        freeJson(json.config ?? json.incomplete_config ?? null, call),
      createdAt: ({ row }: MachineOfApp) => row.json.created_at,
      updatedAt: ({ row }: MachineOfApp) => row.json.updated_at,
      host: ({ row }: MachineOfApp) => ({ id: row.hostId }),
      ips: ({ row }: MachineOfApp) => {
        const { private_ip: ip } = row.json
        const own = { kind: 'privatenet', family: 'v6', ip, maskSize: MASK_BITS }
        return nodes(ip === '' ? [] : [own])
      },
    },
  },
}

async function findMachine(
  _none: unknown,
  { machineId }: { machineId: string },
  call: WebCall,
): Promise<MachineOfApp> {
  const row = isMachineId(machineId) ? call.services.rows.machine(machineId) : undefined
  const app = row && (await call.appOfRow(row.appId))
  if (row === undefined || app === undefined) {
    throw refuse('flaps.not_found', 'not_found: machine not found')
  }
  const { organization } = app
  call.require({ on: 'machine', action: Action.read }, { organization, app, machine: row.id })
  return { app, row }
}

async function findVolume(_none: unknown, { id }: { id: string }, call: WebCall) {
  const where = isVolumeId(id) ? call.services.rows.whereIsVolume(id) : undefined
  const json = where && call.services.rows.volume(id)
  const app = where && (await call.appOfRow(where.appId))
  if (json === undefined || app === undefined) {
    throw refuse('flaps.not_found', 'not_found: volume not found')
  }
  const { organization } = app
  call.require({ on: 'volume', action: Action.read }, { organization, app, volume: id })
  const { name, state, region, size_gb: sizeGb } = json
  return { id, name, state, region, sizeGb, app }
}
