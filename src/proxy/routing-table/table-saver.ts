import type { Clock, Log } from '#base'
import type { RoutingTable } from './routing-table.ts'
import { saveTable } from './saved-table.ts'

export interface TableSaverOptions {
  readonly tablePath: string
  readonly clock: Clock
  readonly log: Log
}

const SAVE_MS = 30_000

/** Keeps a table saved for the next start. A disk that is full costs only that. */
export class TableSaver {
  readonly #table: RoutingTable
  readonly #options: TableSaverOptions
  #savedChanges: number
  #last: Promise<void> = Promise.resolve()

  constructor(table: RoutingTable, options: TableSaverOptions) {
    this.#table = table
    this.#options = options
    this.#savedChanges = table.changeCount
  }

  /** Now and then, and once more at the end. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#options.clock.sleep(SAVE_MS, signal).catch(() => undefined)
      await this.save()
    }
  }

  /** When anything has changed since. */
  save(): Promise<void> {
    this.#last = this.#last.then(() => this.#save())
    return this.#last
  }

  async #save(): Promise<void> {
    if (this.#table.changeCount === this.#savedChanges) return
    this.#savedChanges = this.#table.changeCount
    const { tablePath, log } = this.#options
    try {
      await saveTable(this.#table, tablePath)
    } catch (error) {
      log.warn({ err: error, path: tablePath }, 'the routing table cannot be saved')
    }
  }
}
