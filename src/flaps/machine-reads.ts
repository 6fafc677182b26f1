import { errorCode } from '#base'
import type { Answer } from './answer.ts'
import type { Call } from './call.ts'
import { machineNotFound } from './errors.ts'
import type { LeaseJson } from './machine-host.ts'
import type { MachineJson } from './machine-json.ts'
import type { MachineFilter } from './rows.ts'

/** Where an answer comes from: the local replica, or the host that owns the machine. */
export const SOURCE_HEADER = 'godwit-source'

/** Machines of one app that are asked from their hosts in one list. */
const FRESH_MAX = 50

/**
 * One machine: from its host when the client wants that (`consistent`) or wrote to it through this
 * instance a moment ago, else from the rows.
 */
export async function readMachine(
  call: Call,
  options: { consistent: boolean },
): Promise<{ machine: MachineJson; source: 'host' | 'corrosion' }> {
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
): Promise<{ machines: MachineJson[]; source: 'host' | 'corrosion' }> {
  const { services, signal } = call
  const rows = services.rows.machines({ appId: filter.appId, includeDeleted: true })
  const wanted = options.consistent ? rows : services.recent.ofApp(filter.appId)
  const asked = new Map(
    [...rows, ...services.recent.ofApp(filter.appId)].map((one) => [one.id, one]),
  )
  const fresh = new Map<string, MachineJson>()
  const ask = async ({ id, hostId }: { id: string; hostId: string }) => {
    const one = await unlessAway(() => services.fleet.host(hostId).machine(id, signal), call)
    if (one !== undefined) fresh.set(id, one)
  }
  const some = [...wanted].slice(-FRESH_MAX).filter(({ id }) => asked.has(id))
  await Promise.all(some.map(ask))
  const known = rows.map((row) => fresh.get(row.id) ?? row.json)
  const unknown = [...fresh].flatMap(([id, one]) =>
    rows.some((row) => row.id === id) ? [] : [one],
  )
  const machines = [...known, ...unknown].filter((one) => fitsFilter(one, filter))
  return { machines, source: fresh.size > 0 ? 'host' : 'corrosion' }
}

/** A read must not fail because a host is away: the rows say what was last known. */
async function unlessAway(
  ask: () => Promise<MachineJson>,
  { log, signal }: Call,
): Promise<MachineJson | undefined> {
  try {
    return await ask()
  } catch (error) {
    signal.throwIfAborted()
    if (errorCode(error) === 'flaps.not_found') return undefined
    log.warn({ err: error }, 'a host did not answer; the rows do')
    return undefined
  }
}

function fitsFilter(machine: MachineJson, filter: MachineFilter): boolean {
  const { includeDeleted = false, region, states = [], metadata = {} } = filter
  const { state } = machine
  if (state === 'destroyed' && !includeDeleted && !states.includes('destroyed')) return false
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
