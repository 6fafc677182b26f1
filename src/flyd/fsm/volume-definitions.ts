import type { VolumeEffects } from '../effects/machine-effects.ts'
import type { Definition, Step } from '../engine/definition.ts'
import type { Transaction } from '../engine/ledger.ts'
import type { Outcome, Run } from '../engine/run.ts'
import { type VolumeRecord, type VolumeTable, volumeSubjectOf } from '../volume/volume-table.ts'

export interface VolumeDefinitionsOptions {
  readonly effects: VolumeEffects
  readonly volumes: VolumeTable
  /** The run has ended, nothing later was accepted. */
  readonly settle: (transaction: Transaction, record: VolumeRecord, run: Run) => void
}

const MINUTE_MS = 60_000

/** All state machines of volumes. Their kinds and steps are in docs/flyd.md, as tables. */
export function volumeDefinitions(options: VolumeDefinitionsOptions): Definition[] {
  const { volumes, settle } = options
  const steps = volumeSteps(options)
  const define = (
    kind: string,
    finish: (record: VolumeRecord, outcome: Outcome) => VolumeRecord,
  ): Definition => ({
    kind,
    steps,
    isInterruptedBy: (other) => kind === 'volume.create' && other === 'volume.destroy',
    finished(transaction, run, isLatest) {
      if (!isLatest) return
      const record = finish(recordOf(volumes, run), run.outcome)
      settle(transaction, volumes.put(transaction, record), run)
    },
  })
  return [
    define('volume.create', (record, outcome) => ({
      ...record,
      state: outcome === 'done' ? 'created' : 'failed',
    })),
    define('volume.extend', (record) => ({ ...record, state: 'created' })),
    define('volume.destroy', (record) => ({ ...record, state: 'destroyed' })),
  ]
}

function volumeSteps({ effects, volumes }: VolumeDefinitionsOptions): Record<string, Step> {
  return {
    make: {
      deadlineMs: 30 * MINUTE_MS,
      triesMax: 4,
      act: (run, signal) => effects.createVolume(volumeSubjectOf(recordOf(volumes, run)), signal),
      undo: (run, signal) => effects.destroyVolume(idOf(run), signal),
    },
    grow: {
      isOneWay: true,
      deadlineMs: 10 * MINUTE_MS,
      triesMax: 4,
      act(run, signal) {
        const { sizeGb } = run.input as { sizeGb: number }
        const subject = volumeSubjectOf(recordOf(volumes, run))
        return effects.extendVolume({ ...subject, sizeGb }, signal)
      },
      done(transaction, run, result) {
        const { sizeGb } = run.input as { sizeGb: number }
        volumes.put(transaction, {
          ...recordOf(volumes, run),
          sizeGb,
          needsRestart: result === true,
        })
      },
    },
    destroy: {
      deadlineMs: 10 * MINUTE_MS,
      triesMax: Infinity,
      isUnstoppable: true,
      isOneWay: true,
      backoff: { baseMs: 200, capMs: 30_000 },
      act: (run, signal) => effects.destroyVolume(idOf(run), signal),
    },
  }
}

const idOf = (run: Run): string => (run.input as { volumeId: string }).volumeId

function recordOf(volumes: VolumeTable, run: Run): VolumeRecord {
  const record = volumes.staged(idOf(run))
  if (record === undefined) throw new TypeError(`run ${run.id} is of no volume`)
  return record
}
