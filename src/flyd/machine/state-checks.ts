/** What a machine's state, or what it is made of, does not allow; with the documented texts. */
import { machineNotFound, refuse } from '../errors.ts'
import type { HostUpdate } from '../host.ts'
import type { MachineState } from '../model/machine-state.ts'
import type { MachineRecord } from './machine-record.ts'
import { scheduleOf } from './schedule.ts'

export const stateBad = (verb: string, state: MachineState) =>
  refuse(
    'flyd.state_bad',
    `failed_precondition: unable to ${verb} machine from current state: '${state}'`,
  )

export const beingMigrated = () =>
  refuse('flyd.state_bad', 'failed_precondition: machine is being migrated')

/** @throws FlydError flyd.not_found; flyd.state_bad: it is being migrated */
export function checkChangeable(record: MachineRecord | undefined): MachineRecord {
  if (record === undefined) throw machineNotFound()
  if (record.migration !== undefined) throw beingMigrated()
  return record
}

export function checkStart(state: MachineState): void {
  if (state === 'starting' || state === 'restarting') {
    throw refuse('flyd.conflict', 'aborted: machine still attempting to start')
  }
  if (state === 'replacing') {
    throw refuse(
      'flyd.state_bad',
      'failed_precondition: machine getting replaced, refusing to start',
    )
  }
  if (!['stopped', 'suspended', 'suspending', 'failed'].includes(state)) {
    throw stateBad('start', state)
  }
}

export function checkRestart(state: MachineState): void {
  if (state === 'starting' || state === 'restarting') {
    throw refuse('flyd.conflict', 'aborted: machine still attempting to start')
  }
  if (!['started', 'stopped', 'failed'].includes(state)) throw stateBad('restart', state)
}

export function checkSuspendable({ config }: MachineRecord): void {
  const hasSwap = Number(config['swap_size_mb'] ?? 0) > 0
  const lack = hasSwap ? 'swap' : scheduleOf(config) === undefined ? undefined : 'a schedule'
  if (lack === undefined) return
  throw refuse('flyd.state_bad', `failed_precondition: a machine with ${lack} cannot be suspended`)
}

export function checkMounts(record: MachineRecord, input: HostUpdate): void {
  const ids = ({ mounts = [] }: HostUpdate['config']) => mounts.map(({ volume }) => volume).join()
  if (ids(record.config) === ids(input.config)) return
  throw refuse(
    'flyd.argument_bad',
    'invalid_argument: the volume of a machine cannot be changed by an update',
  )
}
