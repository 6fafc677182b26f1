import type { TakenSnapshot, VolumeEffects } from '../effects/machine-effects.ts'
import type { Definition, Step } from '../engine/definition.ts'
import type { Run } from '../engine/run.ts'
import type { SnapshotRecord, SnapshotTable } from '../volume/snapshot-table.ts'

export interface SnapshotDefinitionsOptions {
  readonly effects: VolumeEffects
  readonly snapshots: SnapshotTable
}

const MINUTE_MS = 60_000

/** The state machines of snapshots: `snapshot.take` and `snapshot.expire`; docs/flyd.md has them in its tables. */
export function snapshotDefinitions({
  effects,
  snapshots,
}: SnapshotDefinitionsOptions): Definition[] {
  const take: Step = {
    deadlineMs: 10 * MINUTE_MS,
    triesMax: 4,
    act: (run, signal) =>
      effects.takeSnapshot(idOf(run), recordOf(snapshots, run).volumeId, signal),
    undo: (run, signal) => effects.removeSnapshot(idOf(run), signal),
    done(transaction, run, result) {
      const taken = result as TakenSnapshot
      snapshots.put(transaction, { ...recordOf(snapshots, run), taken })
    },
  }
  const expire: Step = {
    deadlineMs: 10 * MINUTE_MS,
    triesMax: Infinity,
    isUnstoppable: true,
    isOneWay: true,
    backoff: { baseMs: 200, capMs: 30_000 },
    act: (run, signal) => effects.removeSnapshot(idOf(run), signal),
  }
  return [
    {
      kind: 'snapshot.take',
      steps: { take },
      isInterruptedBy: () => false,
      finished(transaction, run) {
        const state = run.outcome === 'done' ? 'created' : 'failed'
        snapshots.put(transaction, { ...recordOf(snapshots, run), state })
      },
    },
    {
      kind: 'snapshot.expire',
      steps: { expire },
      isInterruptedBy: () => false,
      finished: (transaction, run) => snapshots.remove(transaction, idOf(run)),
    },
  ]
}

const idOf = (run: Run): string => (run.input as { snapshotId: string }).snapshotId

function recordOf(snapshots: SnapshotTable, run: Run): SnapshotRecord {
  const record = snapshots.staged(idOf(run))
  if (record === undefined) throw new TypeError(`run ${run.id} is of no snapshot`)
  return record
}
