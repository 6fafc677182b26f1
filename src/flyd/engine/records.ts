import type { Transaction } from './ledger.ts'
import type { Store } from './store.ts'

/**
 * Records of one kind, all of them in memory. `staged` is what the next decision stands on; `published` is
 * what is durable, and what others may see.
 */
export class Records<R extends { readonly id: string }> {
  readonly #staged = new Map<string, R>()
  readonly #published = new Map<string, R>()
  readonly #prefix: string
  readonly #onPublish: (id: string, record: R | undefined) => void

  constructor(
    store: Store,
    prefix: string,
    onPublish: (id: string, record: R | undefined) => void,
  ) {
    this.#prefix = prefix
    this.#onPublish = onPublish
    for (const [, value] of store.entries(prefix)) {
      const record = value as R
      this.#staged.set(record.id, record)
      this.#published.set(record.id, record)
    }
  }

  staged(id: string): R | undefined {
    return this.#staged.get(id)
  }

  get(id: string): R | undefined {
    return this.#published.get(id)
  }

  values(): IterableIterator<R> {
    return this.#published.values()
  }

  put(transaction: Transaction, record: R): R {
    this.#staged.set(record.id, record)
    transaction.put(`${this.#prefix}${record.id}`, record)
    transaction.after(() => {
      this.#published.set(record.id, record)
      this.#onPublish(record.id, record)
    })
    return record
  }

  remove(transaction: Transaction, id: string): void {
    this.#staged.delete(id)
    transaction.remove(`${this.#prefix}${id}`)
    transaction.after(() => {
      this.#published.delete(id)
      this.#onPublish(id, undefined)
    })
  }
}
