import type { CapacityBook } from '#market'
import type { Engine } from '../engine/engine.ts'
import type { Ledger, Transaction } from '../engine/ledger.ts'
import type { NewEvent } from '../model/machine-event.ts'
import { syncRoom } from './capacity.ts'
import type { MachineRecord } from './machine-record.ts'
import type { MachineTable } from './machine-table.ts'

export interface MachineWriterOptions {
  readonly ledger: Ledger
  readonly engine: Engine
  readonly machines: MachineTable
  readonly book: CapacityBook
}

export const resourceOf = (machineId: string): string => `machine/${machineId}`

/** What every accepted call on a machine ends in: a new record with its events, and the run that follows. */
export class MachineWriter {
  readonly #options: MachineWriterOptions

  constructor(options: MachineWriterOptions) {
    this.#options = options
  }

  /** All that `body` writes is in the log together, or nothing of it. */
  transact<T>(body: (transaction: Transaction) => T): Promise<T> {
    return this.#options.ledger.transact(body)
  }

  /** The room that the record holds on this host follows. */
  put(transaction: Transaction, record: MachineRecord, ...events: NewEvent[]): MachineRecord {
    const next = this.#options.machines.put(transaction, record, ...events)
    syncRoom(this.#options.book, next)
    return next
  }

  accept(
    transaction: Transaction,
    kind: string,
    machineId: string,
    steps: readonly string[],
    input: object = {},
  ): void {
    const resource = resourceOf(machineId)
    const { engine } = this.#options
    engine.accept(transaction, { kind, resource, input: { machineId, ...input }, steps })
  }
}
