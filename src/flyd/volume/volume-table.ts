import type { Transaction } from '../engine/ledger.ts'
import { Records } from '../engine/records.ts'
import type { Store } from '../engine/store.ts'
import { refuse, volumeNotFound } from '../errors.ts'
import type { MachineConfigJson } from '../machine-json.ts'
import { volumeIdsOf } from '../model/mounted-volumes.ts'
import type { VolumeSeen } from '../model/volume-seen.ts'
import type { VolumeSubject } from '../model/volume-subject.ts'

export interface VolumeRecord extends VolumeSeen {
  readonly snapshotId: string | undefined
  readonly sourceVolumeId: string | undefined
  /** Of the last extension: what runs sees the new size after a restart. */
  readonly needsRestart: boolean
  /** What it was placed with: no other volume of this host has the same. */
  readonly exclusive?: string | undefined
}

/** The volumes of this host, `volume/<id>` in the store, and which machine has which. */
export class VolumeTable {
  readonly records: Records<VolumeRecord>
  readonly #nowMs: () => number

  constructor(
    store: Store,
    nowMs: () => number,
    onPublish: (id: string, volume: VolumeSeen | undefined) => void,
  ) {
    this.#nowMs = nowMs
    this.records = new Records<VolumeRecord>(store, 'volume/', onPublish)
  }

  /** Staged. */
  staged(id: string): VolumeRecord | undefined {
    return this.records.staged(id)
  }

  put(transaction: Transaction, record: VolumeRecord): VolumeRecord {
    return this.records.put(transaction, { ...record, updatedAtMs: this.#nowMs() })
  }

  /**
   * That every volume of the configuration is here and nobody else's.
   *
   * @throws FlydError flyd.not_found, flyd.state_bad
   */
  checkFree(config: MachineConfigJson, machineId: string): void {
    for (const id of volumeIdsOf(config)) {
      const record = this.staged(id)
      if (record === undefined || record.state === 'destroyed') throw volumeNotFound()
      if (record.machineId !== undefined && record.machineId !== machineId) {
        throw refuse(
          'flyd.state_bad',
          `failed_precondition: volume already claimed by machine ${record.machineId}`,
        )
      }
      if (!['created', 'extending'].includes(record.state)) {
        throw refuse(
          'flyd.state_bad',
          `failed_precondition: volume ${id} is ${record.state}, not ready to be mounted`,
        )
      }
    }
  }

  attach(transaction: Transaction, config: MachineConfigJson, machineId: string): void {
    for (const id of volumeIdsOf(config)) this.#set(transaction, id, machineId)
  }

  /** All that the machine has become free. */
  detach(transaction: Transaction, config: MachineConfigJson, machineId: string): void {
    for (const id of volumeIdsOf(config)) {
      if (this.staged(id)?.machineId === machineId) this.#set(transaction, id, undefined)
    }
  }

  #set(transaction: Transaction, id: string, machineId: string | undefined): void {
    const record = this.staged(id)
    if (record !== undefined) this.put(transaction, { ...record, machineId })
  }
}

export function volumeSubjectOf(record: VolumeRecord): VolumeSubject {
  const { id, appId, orgId, name, sizeGb, isEncrypted, fstype } = record
  const { snapshotId, sourceVolumeId, machineId } = record
  return {
    id,
    appId,
    orgId,
    name,
    sizeGb,
    isEncrypted,
    fstype,
    snapshotId,
    sourceVolumeId,
    machineId,
  }
}
