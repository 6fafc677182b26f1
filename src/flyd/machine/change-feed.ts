import type { Log } from '#base'
import type { Change, MachineView } from '../model/machine-view.ts'
import type { VolumeTable } from '../volume/volume-table.ts'
import type { MachineTable } from './machine-table.ts'

/** Who looks at machines and volumes hears of each change, once it is in the log. */
export class ChangeFeed {
  readonly #listeners = new Set<(change: Change) => void>()
  readonly #log: Log

  constructor(log: Log) {
    this.#log = log
  }

  /** A listener that throws keeps no other one from hearing. */
  tell(change: Change): void {
    for (const listener of this.#listeners) {
      try {
        listener(change)
      } catch (error) {
        this.#log.error({ err: error, change: change.id }, 'a listener to changes threw')
      }
    }
  }

  listen(listener: (change: Change) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }
}

/** What rows, bids and checks read. */
export const viewOf = (
  machines: MachineTable,
  { records: volumes }: VolumeTable,
  changes: ChangeFeed,
): MachineView => ({
  machines: () => machines.records.values(),
  machine: (id) => machines.records.get(id),
  volumes: () => volumes.values(),
  volume: (id) => volumes.get(id),
  countOfApp: (appId) => machines.countOfApp(appId),
  onChange: (listener) => changes.listen(listener),
})
