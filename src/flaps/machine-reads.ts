import { isVolumeId } from '#base'
import type { LeaseJson, MachineJson } from '#flyd'
import type { Answer } from './answer.ts'
import type { Call } from './call.ts'
import { machineNotFound } from './errors.ts'
import { askOwners, type Source, unlessAway, withFresh } from './fresh-reads.ts'
import { isGone } from './machine-names.ts'
import type { MachineFilter } from './rows.ts'

/** Machines of one app that are asked from their hosts in one list. */
const FRESH_MAX = 50

/** Names the source in an answer. */
const SOURCE_HEADER = 'godwit-source'

/**
 * One machine: from its host when the client wants that (`consistent`) or wrote to it through this
 * instance a moment ago, else from the rows.
 */
export async function readMachine(
  call: Call,
  options: { consistent: boolean },
): Promise<{ machine: MachineJson; source: Source }> {
  const { services, machine: where, signal } = call
  const host = () => services.fleet.host(where.hostId).machine(where.id, signal)
  if (options.consistent) return { machine: await host(), source: 'host' }
  const row = services.rows.machine(where.id)
  if (services.recent.whereIs(where.id) !== undefined) {
    const machine = await unlessAway(host, call)
    if (machine !== undefined) return { machine, source: 'host' }
  }
  if (row === undefined) throw machineNotFound()
  return { machine: row.json, source: 'corrosion' }
}

/** An app's machines by the rows, and those that were written through this instance by their hosts. */
export async function readMachines(
  call: Call,
  filter: MachineFilter,
  options: { consistent: boolean },
): Promise<{ machines: MachineJson[]; source: Source }> {
  const { services, signal } = call
  const rows = services.rows.machines({ appId: filter.appId, includeDeleted: true })
  const recent = () => services.recent.ofApp(filter.appId).filter(({ id }) => !isVolumeId(id))
  const wanted = options.consistent ? rows : recent()
  const ask = (hostId: string, id: string) => services.fleet.host(hostId).machine(id, signal)
  const fresh = await askOwners(wanted.slice(-FRESH_MAX), ask, call)
  const known = rows.map(({ id, json }) => ({ id, known: json }))
  const machines = withFresh(known, fresh).filter((one) => fitsFilter(one, filter))
  return { machines, source: fresh.size > 0 ? 'host' : 'corrosion' }
}

function fitsFilter(machine: MachineJson, filter: MachineFilter): boolean {
  const { includeDeleted = false, region, states = [], metadata = {} } = filter
  const { state } = machine
  if (isGone(state) && !includeDeleted && !states.includes(state)) return false
  if (region !== undefined && machine.region !== region) return false
  if (states.length > 0 && !states.includes(state)) return false
  const has = (machine.config ?? machine.incomplete_config)?.metadata ?? {}
  return Object.entries(metadata).every(([key, value]) => has[key] === value)
}

/** The lease without its nonce, for those who may only look. */
export const publicLease = ({ owner, description, expires_at }: LeaseJson) => ({
  owner,
  description,
  expires_at,
})

export const fromSource = (source: string, body: unknown): Answer => ({
  status: 200,
  body,
  headers: { [SOURCE_HEADER]: source },
})
