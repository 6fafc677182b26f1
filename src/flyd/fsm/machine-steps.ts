import type { Clock } from '#base'
import type { MachineEffects } from '../effects/machine-effects.ts'
import type { Step } from '../engine/definition.ts'
import type { Run } from '../engine/run.ts'
import type { MachineRecord } from '../machine/machine-record.ts'
import { subjectOf } from '../machine/machine-record.ts'
import type { MachineTable } from '../machine/machine-table.ts'
import { keepsRoot, persistOf } from '../machine/root-persistence.ts'
import type { StopPlan } from '../machine/stop-plan.ts'
import type { GuestExit } from '../model/guest-exit.ts'
import type { ImageRefJson } from '../model/image-ref.ts'
import type { MachineNetwork } from '../model/machine-subject.ts'

export interface MachineStepsOptions {
  readonly effects: MachineEffects
  readonly machines: MachineTable
  readonly clock: Clock
}

/** The part of a run's input that steps read. */
export interface StepInput {
  readonly machineId: string
  readonly stop?: StopPlan
  readonly delayMs?: number
}

const MINUTE_MS = 60_000
const quick = { deadlineMs: MINUTE_MS, triesMax: 5 } as const
/** What must come to an end is tried for ever, and shows in the list of runs. */
const certain = {
  deadlineMs: 2 * MINUTE_MS,
  triesMax: Infinity,
  isUnstoppable: true,
  isOneWay: true,
  backoff: { baseMs: 200, capMs: 30_000 },
} as const

/** What the steps of all machine FSMs do. Names are in the log: they are not changed. */
export function machineSteps(options: MachineStepsOptions): Readonly<Record<string, Step>> {
  return { ...launchSteps(options), ...endSteps(options), ...pauseSteps(options) }
}

export const inputOf = (run: Run): StepInput => run.input as StepInput

function launchSteps({ effects, machines, clock }: MachineStepsOptions): Record<string, Step> {
  const record = (run: Run) => recordOf(machines, run)
  const subject = (run: Run) => subjectOf(record(run))
  /** Nothing is to be launched: it was resumed, or is to stop once it is of the new version. */
  const isPassedOver = (run: Run) =>
    run.results['resume'] === 'resumed' ||
    (run.kind === 'machine.update' && record(run).state === 'stopping')
  return {
    backoff: {
      deadlineMs: 10 * MINUTE_MS,
      triesMax: 3,
      async act(run, signal) {
        const untilMs = run.acceptedAtMs + (inputOf(run).delayMs ?? 0)
        await clock.sleep(Math.max(0, untilMs - clock.nowMs()), signal)
      },
    },
    image: {
      deadlineMs: 15 * MINUTE_MS,
      triesMax: 6,
      backoff: { baseMs: 500, capMs: 15_000 },
      act: async (run, signal) =>
        run.results['resume'] === 'resumed'
          ? undefined
          : effects.prepareImage(subject(run), signal),
      done(transaction, run, result) {
        if (result === undefined) return
        machines.put(transaction, { ...record(run), imageRef: result as ImageRefJson })
      },
    },
    root: {
      ...quick,
      async act(run, signal) {
        if (isPassedOver(run)) return
        const keep = run.results['resume'] === 'cold' || keepsRoot(record(run).config)
        await effects.makeRoot(subject(run), keep, signal)
      },
      async undo(run, signal) {
        if (!keepsRoot(record(run).config)) await effects.removeRoot(inputOf(run).machineId, signal)
      },
    },
    volumes: {
      ...quick,
      act: async (run, signal) =>
        isPassedOver(run) ? undefined : effects.attachVolumes(subject(run), signal),
      undo: (run, signal) => effects.detachVolumes(inputOf(run).machineId, signal),
    },
    network: {
      ...quick,
      act: async (run, signal) =>
        isPassedOver(run) ? undefined : effects.makeNetwork(subject(run), signal),
      undo: (run, signal) => effects.removeNetwork(inputOf(run).machineId, true, signal),
      done(transaction, run, result) {
        if (result === undefined) return
        const { privateIp, privateIpv4 } = result as MachineNetwork
        machines.put(transaction, { ...record(run), privateIp, privateIpv4 })
      },
    },
    boot: {
      deadlineMs: 2 * MINUTE_MS,
      triesMax: 4,
      act: async (run, signal) =>
        isPassedOver(run) ? undefined : effects.boot(subject(run), signal),
      async undo(run, signal) {
        await effects.removeGuest(inputOf(run).machineId, signal)
      },
    },
    entrypoint: {
      ...quick,
      triesMax: 3,
      act: async (run, signal) =>
        isPassedOver(run) ? undefined : effects.startEntrypoint(subject(run), signal),
    },
  }
}

function endSteps({ effects, machines, clock }: MachineStepsOptions): Record<string, Step> {
  return {
    signal: {
      deadlineMs: 6 * MINUTE_MS,
      triesMax: 3,
      isOneWay: true,
      isOptional: true, // what cannot be asked to end is killed
      async act(run, signal) {
        const { machineId, stop } = inputOf(run)
        if (stop === undefined) return undefined
        const elapsedMs = clock.nowMs() - firstBegan(run, 'signal')
        const timeoutMs = Math.max(0, stop.timeoutMs - elapsedMs)
        return effects.stopEntrypoint(machineId, { signal: stop.signal, timeoutMs }, signal)
      },
    },
    kill: {
      ...certain,
      act: (run, signal) => effects.removeGuest(inputOf(run).machineId, signal),
    },
    offline: {
      ...certain,
      act: (run, signal) => effects.removeNetwork(inputOf(run).machineId, !isLeaving(run), signal),
    },
    detach: {
      ...certain,
      act: (run, signal) => effects.detachVolumes(inputOf(run).machineId, signal),
    },
    unroot: {
      ...certain,
      async act(run, signal) {
        const { machineId } = inputOf(run)
        if (!mayKeepRoot(run, recordOf(machines, run))) await effects.removeRoot(machineId, signal)
      },
    },
  }
}

/** Nothing of the machine is to stay on this host. */
const isLeaving = ({ kind }: Run) => kind === 'machine.destroy' || kind === 'machine.leave'

/** A root outlives a stop when the configuration says so, an update only with `always`. */
function mayKeepRoot(run: Run, { config, previous }: MachineRecord): boolean {
  if (isLeaving(run)) return false
  if (run.kind === 'machine.update') return persistOf(previous?.config ?? config) === 'always'
  return keepsRoot(config)
}

function pauseSteps({ effects, machines }: MachineStepsOptions): Record<string, Step> {
  return {
    suspend: {
      deadlineMs: 3 * MINUTE_MS,
      triesMax: 4,
      act: (run, signal) => effects.suspend(inputOf(run).machineId, signal),
      async undo(run, signal) {
        await effects.resume(subjectOf(recordOf(machines, run)), signal)
      },
    },
    // What was suspended is given up when it cannot be brought back to where its network is.
    wake: {
      ...quick,
      act: async () => undefined,
      async undo(run, signal) {
        const { machineId } = inputOf(run)
        await effects.removeGuest(machineId, signal)
        await effects.removeNetwork(machineId, true, signal)
        await effects.detachVolumes(machineId, signal)
        if (!keepsRoot(recordOf(machines, run).config)) await effects.removeRoot(machineId, signal)
      },
    },
    resume: {
      ...quick,
      act: (run, signal) => effects.resume(subjectOf(recordOf(machines, run)), signal),
      async undo(run, signal) {
        await effects.removeGuest(inputOf(run).machineId, signal)
      },
    },
  }
}

export function recordOf(machines: MachineTable, run: Run): MachineRecord {
  const { machineId } = inputOf(run)
  const record = machines.staged(machineId)
  if (record === undefined) throw new TypeError(`run ${run.id} is of no machine`)
  return record
}

/** A stop that goes on after a restart of flyd has no more time than before. */
function firstBegan(run: Run, step: string): number {
  const entry = run.entries.find((one) => one.type === 'began' && one.step === step)
  return entry?.atMs ?? run.acceptedAtMs
}

/** How the guest ended, if one of the steps learnt it. */
export const exitOf = (run: Run): GuestExit | undefined =>
  (run.results['signal'] ?? run.results['kill']) as GuestExit | undefined
