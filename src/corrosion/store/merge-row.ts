import { SENTINEL } from '../changes/changeset.ts'
import { compareValues, type SqlValue } from '../changes/sql-value.ts'
import { type ColumnClock, ROW, RowClock, type Stamp } from './row-clock.ts'

/** One change of a row, with names looked up. */
export interface IncomingChange {
  /** A column's ordinal, or ROW. */
  readonly ordinal: number
  readonly val: SqlValue
  readonly colVersion: number
  readonly cl: number
  readonly stamp: Stamp
}

/** What the merge needs to know of the row as it is. */
export interface RowState {
  /** The value of a column of the living row. */
  valueOf(ordinal: number): SqlValue
  /** Positive when site `a` has the larger id. */
  compareSites(a: number, b: number): number
}

/** What must become of the row in its table. */
export interface RowEffect {
  /**
   * `none`: the table stays. `delete`: the row goes. `upsert`: it is to exist with `values` set, other
   * columns as they are. `replace`: it begins anew with defaults and `values`.
   */
  readonly kind: 'none' | 'delete' | 'upsert' | 'replace'
  readonly values: ReadonlyMap<number, SqlValue>
  /** The clocks are to be stored. */
  readonly isClockChanged: boolean
}

/**
 * Merges changes into a row's clock, in place; `clock` is undefined for a row never heard of. The state of a
 * row is the largest causal length, and for each column the largest (col_version, value, site) among the
 * changes of that life: so order and repetition of changes do not matter.
 *
 * Source: cr-sqlite's merge. Two differences, so that clocks converge as well as values: of equal
 * deletions or resurrections the larger site owns the sentinel, and a new life starts from defaults also
 * where the row still lived.
 */
export class RowMerge {
  readonly #state: RowState
  readonly #values = new Map<number, SqlValue>()
  #clock: RowClock | undefined
  #kind: RowEffect['kind'] = 'none'
  #isClockChanged = false

  constructor(clock: RowClock | undefined, state: RowState) {
    this.#clock = clock
    this.#state = state
  }

  get clock(): RowClock | undefined {
    return this.#clock
  }

  get effect(): RowEffect {
    return { kind: this.#kind, values: this.#values, isClockChanged: this.#isClockChanged }
  }

  add(change: IncomingChange): void {
    const cl = this.#clock?.cl ?? 0
    if (change.cl < cl) return
    if (change.cl > cl) this.#beginLife(change)
    else if (change.ordinal === ROW) this.#takeSentinel(change.stamp, change.cl)
    if (change.cl % 2 === 1 && change.ordinal !== ROW) this.#mergeColumn(change)
  }

  #beginLife({ cl, ordinal, stamp }: IncomingChange): void {
    const isDeleted = cl % 2 === 0
    const wasAlive = this.#clock?.isAlive === true
    this.#isClockChanged = true
    this.#values.clear()
    this.#clock ??= new RowClock(cl, 0, stamp)
    this.#clock.begin(cl, ordinal === ROW ? stamp : undefined)
    if (isDeleted) this.#kind = 'delete'
    // The first life of a row unknown so far has nothing to remove.
    else this.#kind = wasAlive || this.#kind === 'delete' || cl > 1 ? 'replace' : 'upsert'
  }

  #takeSentinel(stamp: Stamp, cl: number): void {
    const clock = this.#clock as RowClock
    const own = clock.get(ROW)
    if (own !== undefined && !this.#outranks(stamp, own)) return
    this.#own(ROW, { ...stamp, colVersion: cl })
  }

  #mergeColumn({ ordinal, val, colVersion, stamp }: IncomingChange): void {
    const clock = this.#clock as RowClock
    const own = clock.get(ordinal)
    if (own !== undefined) {
      if (colVersion < own.colVersion) return
      if (colVersion === own.colVersion) {
        const order = compareValues(val, this.#current(ordinal))
        if (order === 0 && this.#outranks(stamp, own)) this.#own(ordinal, { ...stamp, colVersion })
        if (order <= 0) return
      }
    }
    this.#own(ordinal, { ...stamp, colVersion })
    this.#values.set(ordinal, val)
    if (this.#kind === 'none') this.#kind = 'upsert'
  }

  #own(ordinal: number, clock: ColumnClock): void {
    this.#clock?.set(ordinal, clock)
    this.#isClockChanged = true
  }

  #current(ordinal: number): SqlValue {
    const pending = this.#values.get(ordinal)
    return pending === undefined ? this.#state.valueOf(ordinal) : pending
  }

  /** A total order of stamps: the site's id, then what came later from it. */
  #outranks(a: Stamp, b: Stamp): boolean {
    const order = this.#state.compareSites(a.site, b.site) || a.version - b.version || a.seq - b.seq
    return order > 0
  }
}

/** The ordinal of a cid, undefined for a column that this node does not have (yet). */
export function ordinalOf(cid: string, ordinals: ReadonlyMap<string, number>): number | undefined {
  return cid === SENTINEL ? ROW : ordinals.get(cid)
}
