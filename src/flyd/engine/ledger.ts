import { FlydError } from '../errors.ts'
import type { Store, Write } from './store.ts'

/** One change of everything that is remembered: of records, and of the log of runs, together. */
export interface Transaction {
  put(key: string, value: unknown): void
  remove(key: string): void
  /** Called, in order, when the change is durable. */
  after(publish: () => void): void
}

/**
 * Changes memory and log together. The body changes memory at once, so that the next decision stands on it;
 * others see a change (`after`) only when it is durable.
 *
 * When a batch cannot be written, memory is ahead of the log for good: from then on every change is refused
 * and `broken` tells; the process is to be started anew, and goes on from the log.
 */
export class Ledger {
  readonly store: Store
  /** Resolves with why, never before something is wrong. */
  readonly broken: Promise<unknown>
  readonly #tellBroken: (error: unknown) => void
  #fault: unknown
  #last: Promise<void> = Promise.resolve()
  #isBroken = false

  constructor(store: Store) {
    this.store = store
    const { promise, resolve } = Promise.withResolvers<unknown>()
    this.broken = promise
    this.#tellBroken = resolve
  }

  /**
   * The body is synchronous and refuses, by throwing, before it changes anything.
   *
   * @throws what the body throws, FlydError flyd.log_bad
   */
  async transact<T>(body: (transaction: Transaction) => T): Promise<T> {
    if (this.#isBroken) throw this.#refusal()
    const batch: Write[] = []
    const publications: (() => void)[] = []
    const value = body({
      put: (key, written) => batch.push({ put: key, value: written }),
      remove: (key) => batch.push({ remove: key }),
      after: (publish) => publications.push(publish),
    })
    try {
      if (batch.length > 0) {
        this.#last = this.store.commit(batch)
        await this.#last
      }
    } catch (error) {
      this.#break(error)
      throw this.#refusal()
    }
    for (const publish of publications) publish()
    return value
  }

  /** Resolves when all changes so far are durable. @throws FlydError flyd.log_bad */
  async flushed(): Promise<void> {
    await this.#last.catch(() => undefined)
    if (this.#isBroken) throw this.#refusal()
  }

  #break(error: unknown): void {
    if (this.#isBroken) return
    this.#isBroken = true
    this.#fault = error
    this.#tellBroken(error)
  }

  #refusal(): FlydError {
    return new FlydError('flyd.log_bad', {
      what: 'the log cannot be written, nothing more is changed',
      fix: 'look at the disk of the state folder; flyd goes on from its log when it is started again',
      cause: this.#fault,
    })
  }
}
