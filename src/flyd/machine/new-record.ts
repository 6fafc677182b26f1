import type { HostCreate } from '../host.ts'
import { identityOf } from '../model/machine-identity.ts'
import type { MachineState } from '../model/machine-state.ts'
import type { MachineRecord, PreviousVersion } from './machine-record.ts'
import { noRestarts } from './restart-policy.ts'
import { nextDueMs, scheduleOf } from './schedule.ts'

/** When its schedule, if it has one, starts it next. */
export function dueAtMs(config: HostCreate['config'], createdAtMs: number, nowMs: number) {
  const schedule = scheduleOf(config)
  return schedule === undefined ? undefined : nextDueMs(schedule, createdAtMs, nowMs)
}

type NewMachine = Omit<HostCreate, 'reservation' | 'leaseTtlS' | 'owner'>

/** A machine that was just asked for. */
export function newRecord(
  input: NewMachine,
  { nowMs, version, bornAtMs }: { nowMs: number; version: string; bornAtMs?: number },
): MachineRecord {
  const { config, isCordoned, skipSecrets, minSecretsVersion, skipLaunch } = input
  return {
    ...identityOf(input),
    config,
    isCordoned,
    skipSecrets,
    minSecretsVersion,
    state: 'created',
    version,
    imageRef: undefined,
    privateIp: undefined,
    lease: undefined,
    previous: undefined,
    replaced: [],
    events: [],
    restarts: noRestarts,
    hasLaunched: !skipLaunch,
    dueAtMs: dueAtMs(config, bornAtMs ?? nowMs, nowMs),
    isStandingIn: false,
    createdAtMs: nowMs,
    ...(bornAtMs === undefined ? {} : { bornAtMs }),
    updatedAtMs: nowMs,
  }
}

/** What an update goes back to. What is interrupted by it has ended by then, and is begun anew. */
export function previousOf(
  record: MachineRecord,
  { launches, isToRun }: { launches: boolean; isToRun: boolean },
): MachineRecord['previous'] {
  const { version, config, imageRef, skipSecrets, minSecretsVersion } = record
  const { hasLaunched, dueAtMs: due } = record
  const state = stateAfterRevert(record.state, isToRun)
  const old = {
    version,
    config,
    imageRef,
    skipSecrets,
    minSecretsVersion,
    hasLaunched,
    dueAtMs: due,
  }
  return { ...old, state, launches }
}

function stateAfterRevert(state: MachineState, isToRun: boolean): PreviousVersion['state'] {
  if (state === 'stopping' || state === 'created') return isToRun ? 'starting' : 'stopped'
  if (state === 'restarting') return 'starting'
  const kept = ['started', 'starting', 'stopped', 'suspending', 'suspended'] as const
  return kept.find((one) => one === state) ?? 'failed'
}
