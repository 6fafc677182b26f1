import type { TakenSnapshot } from '../effects/machine-effects.ts'
import { Records } from '../engine/records.ts'
import type { Store } from '../engine/store.ts'
import { timeText } from '../machine-json.ts'

/** What a volume held at one instant, kept on the same host until its days are over. */
export interface SnapshotRecord {
  readonly id: string
  readonly volumeId: string
  readonly appId: string
  readonly state: 'running' | 'created' | 'failed' | 'expiring'
  /** Wall clock, milliseconds: when it was asked for. */
  readonly createdAtMs: number
  /** Days; what the volume's settings were when it was asked for. Source: storage.md of the API, retention. */
  readonly retentionDays: number
  /** Undefined: not taken yet. */
  readonly taken: TakenSnapshot | undefined
}

const DAY_MS = 24 * 3_600_000

/** The snapshots of this host's volumes, `snapshot/<id>` in the store. */
export class SnapshotTable extends Records<SnapshotRecord> {
  constructor(store: Store) {
    super(store, 'snapshot/', () => undefined)
  }

  /** Of one volume, also of one that is gone; the newest first. */
  of(volumeId: string): SnapshotRecord[] {
    return [...this.values()]
      .filter((one) => one.volumeId === volumeId && one.state !== 'expiring')
      .sort((one, two) => two.createdAtMs - one.createdAtMs)
  }

  /** Those whose days are over. What failed is shown as long. */
  expired(nowMs: number): SnapshotRecord[] {
    return [...this.values()].filter(
      ({ state, createdAtMs, retentionDays }) =>
        (state === 'created' || state === 'failed') &&
        nowMs - createdAtMs >= retentionDays * DAY_MS,
    )
  }
}

/** As the API shows it. It has no `digest`: that is of an object in a store, and this is a device. */
export const snapshotJson = ({ id, state, createdAtMs, retentionDays, taken }: SnapshotRecord) => ({
  id,
  size: taken?.storedBytes ?? 0,
  volume_size: taken?.volumeBytes ?? 0,
  created_at: timeText(createdAtMs),
  status: state,
  retention_days: retentionDays,
})
