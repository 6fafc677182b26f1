import { type Clock, newVolumeId, type Random } from '#base'
import type { CapacityBook } from '#market'
import type { Engine } from '../engine/engine.ts'
import type { Ledger } from '../engine/ledger.ts'
import { FlydError, refuse, volumeNotFound } from '../errors.ts'
import type { HostCreateVolume, HostVolumes, VolumeSettings } from '../host.ts'
import { timeText, type VolumeJson } from '../machine-json.ts'
import { spendReservation, takeRoom } from '../room.ts'
import { type SnapshotRecord, type SnapshotTable, snapshotJson } from './snapshot-table.ts'
import { volumeHold } from './volume-hold.ts'
import type { VolumeRecord, VolumeTable } from './volume-table.ts'

export interface LocalVolumesOptions {
  readonly hostId: string
  readonly ledger: Ledger
  readonly engine: Engine
  readonly volumes: VolumeTable
  readonly snapshots: SnapshotTable
  readonly book: CapacityBook
  readonly clock: Clock
  readonly random: Random
}

const RETENTION_DAYS = 5
const BLOCK_BYTES = 4096

/** The volumes of this host. Making, growing and destroying one answers when it is done. */
export class LocalVolumes implements HostVolumes {
  readonly #options: LocalVolumesOptions
  readonly #waiters = new Map<string, Set<() => void>>()

  constructor(options: LocalVolumesOptions) {
    this.#options = options
  }

  /** A volume has changed. */
  tell(id: string): void {
    for (const look of [...(this.#waiters.get(id) ?? [])]) look()
  }

  async create(input: HostCreateVolume, signal: AbortSignal): Promise<VolumeJson> {
    const { volumes, book, clock, ledger, engine } = this.#options
    signal.throwIfAborted()
    if (volumes.staged(input.id) === undefined) {
      const { id, reservation, sizeGb } = input
      this.#checkSource(input)
      const hold = volumeHold(sizeGb)
      spendReservation(book, { reservation, holder: id, hold }, clock.monotonicMs())
      try {
        await ledger.transact((transaction) => {
          const { exclusive } = book.heldBy(id) ?? {}
          volumes.put(transaction, { ...newRecord(input, clock.nowMs()), exclusive })
          const resource = `volume/${id}`
          const run = { kind: 'volume.create', resource, input: { volumeId: id }, steps: ['make'] }
          engine.accept(transaction, run)
        })
      } catch (error) {
        book.release(id)
        throw error
      }
    }
    return this.#json(await this.#settled(input.id, signal))
  }

  async get(id: string, signal: AbortSignal): Promise<VolumeJson> {
    signal.throwIfAborted()
    const record = this.#options.volumes.records.get(id)
    if (record === undefined) throw volumeNotFound()
    return this.#json(record)
  }

  async update(id: string, input: VolumeSettings, signal: AbortSignal): Promise<VolumeJson> {
    signal.throwIfAborted()
    const { volumes, ledger } = this.#options
    const record = await ledger.transact((transaction) => {
      const present = this.#live(id)
      return volumes.put(transaction, {
        ...present,
        snapshotRetention: input.snapshotRetention ?? present.snapshotRetention,
        autoBackupEnabled: input.autoBackupEnabled ?? present.autoBackupEnabled,
      })
    })
    return this.#json(record)
  }

  async destroy(id: string, signal: AbortSignal): Promise<VolumeJson> {
    signal.throwIfAborted()
    const { volumes, ledger } = this.#options
    await ledger.transact((transaction) => {
      const present = volumes.staged(id)
      if (present === undefined) throw volumeNotFound()
      if (present.state === 'destroyed' || present.state === 'destroying') return
      if (present.machineId !== undefined) {
        throw refuse(
          'flyd.state_bad',
          `failed_precondition: volume is currently bound to machine: ${present.machineId}`,
        )
      }
      volumes.put(transaction, { ...present, state: 'destroying' })
      this.#options.engine.accept(transaction, {
        kind: 'volume.destroy',
        resource: `volume/${id}`,
        input: { volumeId: id },
        steps: ['destroy'],
      })
    })
    return this.#json(await this.#settled(id, signal))
  }

  async extend(id: string, sizeGb: number, signal: AbortSignal) {
    signal.throwIfAborted()
    const { volumes, ledger, engine, book } = this.#options
    await ledger.transact((transaction) => {
      const present = this.#live(id)
      if (sizeGb <= present.sizeGb) {
        throw refuse('flyd.argument_bad', 'invalid_argument: size_gb must be larger than now')
      }
      if (present.state !== 'created') {
        throw refuse('flyd.state_bad', `failed_precondition: volume ${id} is ${present.state}`)
      }
      takeRoom(book, id, volumeHold(sizeGb, present.exclusive))
      volumes.put(transaction, { ...present, state: 'extending' })
      engine.accept(transaction, {
        kind: 'volume.extend',
        resource: `volume/${id}`,
        input: { volumeId: id, sizeGb },
        steps: ['grow'],
      })
    })
    const record = await this.#settled(id, signal)
    if (record.sizeGb < sizeGb) throw failed('extended', id)
    return { volume: this.#json(record), needs_restart: record.needsRestart }
  }

  /** Newest first; those of a volume that is gone, too, as long as it is remembered. */
  async snapshots(id: string, signal: AbortSignal): Promise<readonly unknown[]> {
    signal.throwIfAborted()
    if (this.#options.volumes.records.get(id) === undefined) throw volumeNotFound()
    return this.snapshotsOf(id).map(snapshotJson)
  }

  snapshotsOf(id: string): SnapshotRecord[] {
    return this.#options.snapshots.of(id)
  }

  /** Answers when it is accepted. Its retention is what the volume's is now, for good. */
  async createSnapshot(id: string, signal: AbortSignal): Promise<unknown> {
    signal.throwIfAborted()
    const { ledger, engine, snapshots, clock, random } = this.#options
    const snapshotId = newVolumeId(random).replace(/^vol_/, 'vs_')
    const [{ appId }, runId] = await ledger.transact((transaction) => {
      const volume = this.#live(id)
      if (volume.state !== 'created' && volume.state !== 'extending') {
        throw refuse('flyd.state_bad', `failed_precondition: volume ${id} is ${volume.state}`)
      }
      snapshots.put(transaction, {
        id: snapshotId,
        volumeId: id,
        appId: volume.appId,
        state: 'running',
        createdAtMs: clock.nowMs(),
        retentionDays: volume.snapshotRetention,
        taken: undefined,
      })
      const resource = `snapshot/${snapshotId}`
      const run = { kind: 'snapshot.take', resource, input: { snapshotId }, steps: ['take'] }
      return [volume, engine.accept(transaction, run).id] as const
    })
    const at = timeText(clock.nowMs())
    const backup = {
      ...{ id: runId, app_id: appId, volume_id: id, graph_id: snapshotId, message: '' },
      ...{ state: 'prepare', type: 'BACKUP_TYPE_ON_DEMAND' },
      ...{ created_at: at, updated_at: at, finished_at: null },
    }
    return { Msg: { backup } }
  }

  /** Those whose days are over go. */
  async expireSnapshots(): Promise<void> {
    const { ledger, engine, snapshots, clock } = this.#options
    for (const { id } of snapshots.expired(clock.nowMs())) {
      await ledger.transact((transaction) => {
        const record = snapshots.staged(id)
        if (record === undefined || record.state === 'expiring') return
        snapshots.put(transaction, { ...record, state: 'expiring' })
        const [resource, input] = [`snapshot/${id}`, { snapshotId: id }]
        engine.accept(transaction, { kind: 'snapshot.expire', resource, input, steps: ['expire'] })
      })
    }
  }

  /** Only of the same app: an id is no secret. @throws FlydError flyd.not_found, flyd.argument_bad, flyd.state_bad */
  #checkSource({ appId, snapshotId, sourceVolumeId, sizeGb }: HostCreateVolume): void {
    const { volumes, snapshots } = this.#options
    const gb = 2 ** 30
    let bytes = 0
    if (snapshotId !== undefined) {
      const snapshot = snapshots.staged(snapshotId)
      if (snapshot?.appId !== appId) {
        throw refuse('flyd.not_found', `not_found: snapshot ${snapshotId} not found`)
      }
      if (snapshot.state !== 'created') {
        throw refuse('flyd.state_bad', `failed_precondition: snapshot is ${snapshot.state}`)
      }
      bytes = snapshot.taken?.volumeBytes ?? 0
    } else if (sourceVolumeId !== undefined) {
      const source = volumes.staged(sourceVolumeId)
      if (source?.appId !== appId || source.state === 'destroyed') throw volumeNotFound()
      bytes = source.sizeGb * gb
    }
    if (sizeGb * gb < bytes) {
      throw refuse(
        'flyd.argument_bad',
        `invalid_argument: size_gb must be at least ${Math.ceil(bytes / gb)}, the size of what it is made from`,
      )
    }
  }

  #live(id: string): VolumeRecord {
    const record = this.#options.volumes.staged(id)
    if (record === undefined || record.state === 'destroyed') throw volumeNotFound()
    return record
  }

  /** Whoever asked may go away; the run goes on. @throws the signal's reason */
  async #settled(id: string, signal: AbortSignal): Promise<VolumeRecord> {
    const { promise, resolve, reject } = Promise.withResolvers<VolumeRecord>()
    const look = () => {
      const record = this.#options.volumes.records.get(id)
      if (record === undefined) reject(volumeNotFound())
      else if (record.state === 'failed') reject(failed('made', id))
      else if (['created', 'destroyed'].includes(record.state)) resolve(record)
    }
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    const waiters = this.#waiters.get(id) ?? new Set()
    this.#waiters.set(id, waiters.add(look))
    try {
      look()
      return await promise
    } finally {
      signal.removeEventListener('abort', onAbort)
      waiters.delete(look)
      if (waiters.size === 0) this.#waiters.delete(id)
    }
  }

  #json(record: VolumeRecord): VolumeJson {
    return {
      id: record.id,
      name: record.name,
      state: record.state,
      size_gb: record.sizeGb,
      region: record.region,
      zone: this.#options.hostId,
      encrypted: record.isEncrypted,
      fstype: record.fstype,
      attached_machine_id: record.machineId ?? null,
      attached_alloc_id: null,
      created_at: timeText(record.createdAtMs),
      block_size: BLOCK_BYTES,
      blocks: 0,
      blocks_free: 0,
      blocks_avail: 0,
      snapshot_retention: record.snapshotRetention,
      auto_backup_enabled: record.autoBackupEnabled,
      host_status: 'ok',
    }
  }
}

const failed = (what: string, volume: string) =>
  new FlydError('flyd.conflict', {
    what: `aborted: the volume could not be ${what}`,
    values: { volume },
    fix: 'godwit flyd fsm list shows why',
  })

function newRecord(input: HostCreateVolume, nowMs: number): VolumeRecord {
  const { id, name, appId, orgId, region, sizeGb, isEncrypted, fstype } = input
  const { snapshotId, sourceVolumeId, snapshotRetention, autoBackupEnabled } = input
  return {
    id,
    name,
    appId,
    orgId,
    region,
    sizeGb,
    isEncrypted,
    fstype,
    snapshotId,
    sourceVolumeId,
    state: 'creating',
    machineId: undefined,
    needsRestart: false,
    snapshotRetention: snapshotRetention ?? RETENTION_DAYS,
    autoBackupEnabled: autoBackupEnabled ?? true,
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
  }
}
