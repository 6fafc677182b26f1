import type { Definition, Step } from '../engine/definition.ts'
import type { Transaction } from '../engine/ledger.ts'
import type { Outcome, Run } from '../engine/run.ts'
import { exitRequest } from '../machine/exit-request.ts'
import type { MachineRecord } from '../machine/machine-record.ts'
import type { NewEvent } from '../model/machine-event.ts'
import { exitOf, type MachineStepsOptions, machineSteps, recordOf } from './machine-steps.ts'

export interface MachineDefinitionsOptions extends MachineStepsOptions {
  /** The run has ended, nothing later was accepted: what follows from it. */
  readonly settle: (transaction: Transaction, record: MachineRecord, run: Run) => void
  /** An update has ended, something later was accepted: only the size of the machine has changed. */
  readonly overtaken: (record: MachineRecord) => void
}

type Ended = Run & { readonly outcome: Outcome }
type Finish = (record: MachineRecord, run: Ended) => { record: MachineRecord; events: NewEvent[] }

const launching = [
  'machine.stop',
  'machine.destroy',
  'machine.update',
  'machine.restart',
  'machine.migrate-out',
  'machine.leave',
]

/** All state machines of machines. Their kinds and steps are in docs/flyd.md, as tables. */
export function machineDefinitions(options: MachineDefinitionsOptions): Definition[] {
  const steps = machineSteps(options)
  const restartSteps = { ...steps, restarting: restarting(options) }
  const updateSteps = { ...steps, replace: replace(options), replaced: replaced(options) }
  const define = (
    kind: string,
    interruptedBy: readonly string[],
    finish: Finish,
    own: Readonly<Record<string, Step>> = steps,
  ): Definition => ({
    kind,
    steps: own,
    isInterruptedBy: (other) => interruptedBy.includes(other),
    finished(transaction, run, isLatest) {
      const before = recordOf(options.machines, run)
      const { record, events } = finish(before, run)
      if (!isLatest) {
        // What was accepted later decides the state; which version it is of was decided here.
        if (run.kind === 'machine.update') {
          const next = options.machines.put(transaction, { ...record, state: before.state })
          options.overtaken(next)
        }
        return
      }
      const next = options.machines.put(transaction, record, ...events)
      options.settle(transaction, next, run)
    },
  })
  return [
    define('machine.create', launching, finishCreate),
    define('machine.start', launching, finishLaunch),
    define('machine.relaunch', launching, finishLaunch),
    define('machine.restart', launching, finishLaunch, restartSteps),
    define('machine.update', ['machine.destroy'], finishUpdate, updateSteps),
    define('machine.stop', [], finishStop),
    define('machine.suspend', ['machine.destroy'], finishSuspend),
    define('machine.clean', [], (record) => ({ record, events: [] })),
    define('machine.destroy', [], finishDestroy),
    define('machine.migrate-out', [], finishMigrateOut),
    define('machine.migrate-in', launching, finishMigrateIn),
    define('machine.leave', [], finishLeave),
  ]
}

const noAct = { deadlineMs: 1_000, triesMax: 1, isOneWay: true, act: async () => undefined }

/** Between the end and the new beginning. */
const restarting = ({ machines }: MachineStepsOptions): Step => ({
  ...noAct,
  done(transaction, run) {
    const record = recordOf(machines, run)
    machines.put(transaction, record, exited(record, run), told('restart', 'starting'))
  },
})

/** From here on there is no way back to the version before. */
const replace = ({ machines }: MachineStepsOptions): Step => ({
  ...noAct,
  act: async () => true,
  done: (transaction, run) => {
    machines.put(transaction, recordOf(machines, run))
  },
})

const replaced = ({ machines }: MachineStepsOptions): Step => ({
  ...noAct,
  done(transaction, run) {
    const record = recordOf(machines, run)
    const isEnded = record.previous?.state === 'started' || exitOf(run) !== undefined
    machines.put(transaction, record, ...(isEnded ? [exited(record, run)] : []))
  },
})

const told = (type: string, status: string, request?: unknown): NewEvent => ({
  type,
  status,
  source: 'flyd',
  ...(request === undefined ? {} : { request }),
})

const exited = (record: MachineRecord, run: Run): NewEvent =>
  told(
    'exit',
    'stopped',
    exitRequest(exitOf(run), {
      requested: true,
      restarting: false,
      restartCount: record.restarts.count,
    }),
  )

const failedWith = (record: MachineRecord, type: string, { error = 'cancelled' }: Run) => ({
  record: { ...record, state: 'failed' as const, previous: undefined },
  events: [told(type, 'failed', { error })],
})

const started = (record: MachineRecord) => ({
  record: { ...record, state: 'started' as const, previous: undefined, hasLaunched: true },
  events: [told('start', 'started')],
})

/** What could not be launched is of no use to anybody: it is cleared away, and the event says why. */
function finishCreate(record: MachineRecord, run: Ended) {
  if (run.outcome !== 'done') {
    const state = 'launch_failed' as const
    const { error = 'cancelled' } = run
    return { record: { ...record, state }, events: [told('launch', state, { error })] }
  }
  if (run.steps.includes('boot')) return started(record)
  return { record: { ...record, state: 'stopped' as const }, events: [told('launch', 'stopped')] }
}

const finishLaunch: Finish = (record, run) =>
  run.outcome === 'done' ? started(record) : failedWith(record, 'start', run)

const finishStop: Finish = (record, run) => {
  if (run.outcome !== 'done') return failedWith(record, 'stop', run)
  const { wasRunning } = run.input as { wasRunning: boolean }
  const isEnd = wasRunning || exitOf(run) !== undefined
  return {
    record: { ...record, state: 'stopped', isStandingIn: false },
    events: [isEnd ? exited(record, run) : told('stop', 'stopped')],
  }
}

/** A guest that could not be suspended runs on; whether it does is looked at afterwards. */
const finishSuspend: Finish = (record, run) => {
  const isDone = run.outcome === 'done'
  const state = isDone ? 'suspended' : 'started'
  const request = isDone ? undefined : { error: run.error }
  return { record: { ...record, state }, events: [told('suspend', state, request)] }
}

const finishUpdate: Finish = (record, run) => {
  const { previous } = record
  if (run.outcome !== 'done') {
    const isCommitted = run.results['replace'] === true
    if (isCommitted || previous === undefined) return failedWith(record, 'update', run)
    return revert(record, previous, run)
  }
  if (run.steps.includes('boot')) return started(record)
  return {
    record: { ...record, state: 'stopped', previous: undefined },
    events: [told('update', 'stopped')],
  }
}

/** The new version could not be prepared: the old one is as it was, the new one counts as replaced. */
function revert(
  record: MachineRecord,
  { launches: _, state, ...old }: NonNullable<MachineRecord['previous']>,
  run: Run,
) {
  const replacedNow = [record.version, ...record.replaced.filter((one) => one !== old.version)]
  return {
    record: { ...record, ...old, state, previous: undefined, replaced: replacedNow },
    events: [told('update', state, { error: run.error })],
  }
}

/** What is asked of no machine that is not here any more. */
const ended = {
  lease: undefined,
  previous: undefined,
  migration: undefined,
  dueAtMs: undefined,
} as const

const finishDestroy: Finish = (record, run) => {
  const { wasRunning } = run.input as { wasRunning: boolean }
  const destroyed = told('destroy', 'destroyed')
  return {
    record: { ...record, ...ended, state: 'destroyed' },
    events: wasRunning ? [exited(record, run), destroyed] : [destroyed],
  }
}

/** Its `signal` is optional and the rest is tried for ever: it does not fail. */
const finishMigrateOut: Finish = (record, run) => {
  const stopped = finishStop(record, run)
  const { migration } = record
  if (migration === undefined) return stopped
  const { isStandingIn } = record
  const held = {
    ...stopped.record,
    isStandingIn,
    migration: { ...migration, phase: 'held' as const },
  }
  return { ...stopped, record: held }
}

const finishMigrateIn: Finish = (record, run) => {
  const created = finishCreate(record, run)
  const { migration } = record
  if (migration === undefined || run.outcome !== 'done') return created
  const held = { ...created.record, hasLaunched: record.hasLaunched || created.record.hasLaunched }
  return { ...created, record: { ...held, migration: { ...migration, phase: 'held' as const } } }
}

const finishLeave: Finish = (record) => ({
  record: { ...record, ...ended, state: 'migrated' },
  events: [told('migrate', 'migrated')],
})
