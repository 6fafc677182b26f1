import { createHash, randomUUID } from 'node:crypto'
import type { SqlValue } from '../changes/sql-value.ts'
import type { TouchedRow } from '../store/local-versions.ts'
import { SubscriptionError } from './errors.ts'
import type { LiveResult, LiveRow, RowChange } from './live-result.ts'

/** A change of a query's result, numbered from 1 without holes. */
export interface QueryChange extends RowChange {
  readonly changeId: number
}

export interface QuerySubscriber {
  /** Called after each commit that changed the result. Must not throw. */
  changed(changes: readonly QueryChange[]): void
}

/** Changes that are kept for subscribers that come back. */
const KEPT_MAX = 10_000
/** A query that costs more runs less often: at most this part of the time. */
const RERUN_SHARE = 0.1

/** One query whose result is kept in memory and told to its subscribers as it changes. */
export class LiveQuery {
  readonly id = randomUUID()
  /** Equal for equal SQL (with parameters written in) on all nodes. */
  readonly hash: string
  readonly sql: string
  readonly columns: readonly string[]
  /** Ids of the tables whose writes may change it. */
  readonly tableIds: ReadonlySet<number>
  readonly #result: LiveResult
  readonly #subscribers = new Set<QuerySubscriber>()
  readonly #isRerun: boolean
  #kept: QueryChange[] = []
  #changeId = 0
  #waiting: TouchedRow[] = []
  #costMs = 0
  #nextRunAtMs = 0
  /** Since when nobody listens, by the clock that `refresh` and `leave` are given. */
  idleSinceMs: number | undefined

  constructor(init: {
    readonly sql: string
    readonly columns: readonly string[]
    readonly tableIds: ReadonlySet<number>
    readonly result: LiveResult
    readonly isRerun: boolean
  }) {
    this.sql = init.sql
    this.columns = init.columns
    this.tableIds = init.tableIds
    this.#result = init.result
    this.#isRerun = init.isRerun
    this.hash = createHash('sha256').update(init.sql).digest('hex').slice(0, 16)
  }

  get rows(): Iterable<LiveRow> {
    return this.#result.rows
  }

  /** The rows' cells, for who only wants the values. */
  get cells(): Iterable<readonly SqlValue[]> {
    return Iterator.from(this.#result.rows).map(({ cells }) => cells)
  }

  get rowCount(): number {
    return this.#result.rowCount
  }

  /** The newest change. */
  get changeId(): number {
    return this.#changeId
  }

  get subscriberCount(): number {
    return this.#subscribers.size
  }

  /** Milliseconds that the last look took. */
  get costMs(): number {
    return this.#costMs
  }

  join(subscriber: QuerySubscriber): void {
    this.#subscribers.add(subscriber)
    this.idleSinceMs = undefined
  }

  leave(subscriber: QuerySubscriber, nowMs: number): void {
    this.#subscribers.delete(subscriber)
    if (this.#subscribers.size === 0) this.idleSinceMs ??= nowMs
  }

  /** Changes after that one. @throws SubscriptionError corrosion.subscription_purged */
  since(changeId: number): QueryChange[] {
    const oldest = this.#changeId - this.#kept.length + 1
    if (changeId + 1 < oldest) {
      throw new SubscriptionError('corrosion.subscription_purged', {
        what: `subscription already deleted older changes, min change id: ${oldest}`,
      })
    }
    return this.#kept.filter((change) => change.changeId > changeId)
  }

  /** Rows were written. Tells subscribers at once, or leaves it to `runDue` when the query is dear. */
  note(touched: readonly TouchedRow[], nowMs: number): void {
    if (this.#isRerun) {
      if (this.#waiting.length === 0) this.#waiting = [touched[0] as TouchedRow]
    } else this.#waiting = touched as TouchedRow[]
    if (nowMs >= this.#nextRunAtMs) this.#run(nowMs)
  }

  /** When the query has to be looked at again because of writes that it waited with; Infinity if not. */
  get dueAtMs(): number {
    return this.#waiting.length > 0 ? this.#nextRunAtMs : Infinity
  }

  runDue(nowMs: number): void {
    if (nowMs >= this.dueAtMs) this.#run(nowMs)
  }

  #run(nowMs: number): void {
    const touched = this.#waiting
    this.#waiting = []
    const startMs = performance.now()
    const changes = this.#result.refresh(touched)
    this.#costMs = performance.now() - startMs
    if (this.#isRerun) this.#nextRunAtMs = nowMs + this.#costMs / RERUN_SHARE
    if (changes.length === 0) return
    const numbered = changes.map((change) => {
      this.#changeId += 1
      return { ...change, changeId: this.#changeId }
    })
    this.#kept.push(...numbered)
    if (this.#kept.length > 2 * KEPT_MAX) this.#kept = this.#kept.slice(-KEPT_MAX)
    for (const subscriber of this.#subscribers) subscriber.changed(numbered)
  }
}
