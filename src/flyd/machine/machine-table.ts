import { idAfter } from '../engine/id-after.ts'
import type { Transaction } from '../engine/ledger.ts'
import { Records } from '../engine/records.ts'
import type { Store } from '../engine/store.ts'
import type { NewEvent } from '../model/machine-event.ts'
import { EVENTS_MAX, type EventJson, RECENT_EVENTS } from '../model/machine-event.ts'
import type { MachineSeen } from '../model/machine-seen.ts'
import { isGone } from '../model/machine-state.ts'
import type { VersionJson } from '../model/machine-version.ts'
import { VERSIONS_MAX } from '../model/machine-version.ts'
import type { MachineRecord } from './machine-record.ts'

export interface MachineTableOptions {
  readonly store: Store
  readonly newUlid: () => string
  readonly nowMs: () => number
  readonly onPublish: (id: string, machine: MachineSeen | undefined) => void
}

/**
 * The machines of this host with their events and versions: `machine/<id>`, `event/<id>/<event>`,
 * `version/<id>/<version>`. The older events and versions stay in the store.
 */
export class MachineTable {
  readonly records: Records<MachineRecord>
  readonly #options: MachineTableOptions
  /** How many events are stored of each. */
  readonly #eventCounts = new Map<string, number>()
  readonly #appCounts = new Map<string, number>()

  constructor(options: MachineTableOptions) {
    this.#options = options
    this.records = new Records(options.store, 'machine/', (id, record) => {
      options.onPublish(id, record)
    })
    for (const record of this.records.values()) this.#count(record, 1)
  }

  countOfApp(appId: string): number {
    return this.#appCounts.get(appId) ?? 0
  }

  /** Staged: what the next decision stands on. Undefined: never here, or forgotten. */
  staged(id: string): MachineRecord | undefined {
    return this.records.staged(id)
  }

  /** Changes a machine, and tells events, the oldest first. */
  put(
    transaction: Transaction,
    record: MachineRecord,
    ...events: readonly NewEvent[]
  ): MachineRecord {
    const told: EventJson[] = []
    for (const event of events) {
      const newest = told[0] ?? record.events[0]
      told.unshift(this.#tell(transaction, record.id, event, newest?.id))
    }
    const before = this.records.staged(record.id)
    if (before !== undefined) this.#count(before, -1)
    const next: MachineRecord = {
      ...record,
      events: [...told, ...record.events].slice(0, RECENT_EVENTS),
      updatedAtMs: this.#options.nowMs(),
    }
    this.#count(next, 1)
    return this.records.put(transaction, next)
  }

  addVersion(transaction: Transaction, id: string, version: VersionJson): void {
    transaction.put(`version/${id}/${version.version}`, version)
    const known = this.versions(id)
    for (const old of known.slice(VERSIONS_MAX - 1)) {
      transaction.remove(`version/${id}/${old.version}`)
    }
  }

  /** Newest first. */
  versions(id: string): VersionJson[] {
    return Array.from(
      this.#options.store.entries(`version/${id}/`),
      ([, value]) => value as VersionJson,
    ).reverse()
  }

  /** Newest first. */
  events(id: string, limit: number): EventJson[] {
    return this.#storedEvents(id).reverse().slice(0, limit)
  }

  /** All that is remembered of it goes. */
  forget(transaction: Transaction, id: string): void {
    const { store } = this.#options
    for (const prefix of [`event/${id}/`, `version/${id}/`]) {
      for (const [key] of store.entries(prefix)) transaction.remove(key)
    }
    const before = this.records.staged(id)
    if (before !== undefined) this.#count(before, -1)
    this.#eventCounts.delete(id)
    this.records.remove(transaction, id)
  }

  #tell(
    transaction: Transaction,
    machineId: string,
    event: NewEvent,
    newest: string | undefined,
  ): EventJson {
    const { newUlid, nowMs } = this.#options
    const told: EventJson = { id: idAfter(newest, newUlid()), ...event, timestamp: nowMs() }
    transaction.put(`event/${machineId}/${told.id}`, told)
    this.#bound(transaction, machineId)
    return told
  }

  #bound(transaction: Transaction, machineId: string): void {
    const known = this.#eventCounts.get(machineId) ?? this.#storedEvents(machineId).length
    this.#eventCounts.set(machineId, known + 1)
    if (known < 2 * EVENTS_MAX) return
    // Seldom, and many at once: counting them costs a read.
    const stored = this.#storedEvents(machineId)
    const old = stored.slice(0, Math.max(0, stored.length + 1 - EVENTS_MAX))
    for (const { id } of old) transaction.remove(`event/${machineId}/${id}`)
    this.#eventCounts.set(machineId, stored.length + 1 - old.length)
  }

  #storedEvents(machineId: string): EventJson[] {
    const entries = this.#options.store.entries(`event/${machineId}/`)
    return Array.from(entries, ([, value]) => value as EventJson)
  }

  #count(record: MachineRecord, by: 1 | -1): void {
    if (isGone(record)) return
    const { appId } = record
    const count = this.countOfApp(appId) + by
    if (count === 0) this.#appCounts.delete(appId)
    else this.#appCounts.set(appId, count)
  }
}
