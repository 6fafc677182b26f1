import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { SqlValue } from '../changes/sql-value.ts'
import type { ReplicatedTable } from './replicated-table.ts'
import { RowClock, type Stamp } from './row-clock.ts'
import { changedOrdinals, DELETED, INSERTED } from './shadow-schema.ts'

/** A row that a transaction wrote. */
export interface TouchedRow {
  readonly table: ReplicatedTable
  readonly key: readonly SqlValue[]
}

/** A version of this node that has committed. */
export interface LocalVersion {
  readonly version: number
  readonly ts: bigint
}

interface Stretch extends LocalVersion {
  readonly first: number
  readonly last: number
}

/**
 * This node's own versions. A transaction costs it one log row for each row written (by triggers) and one
 * row that says which stretch of the log it was. The clocks that follow from it are worked out soon
 * after, many versions at once; if the process dies between, the next start finds them pending.
 */
export class LocalVersions {
  readonly #database: DatabaseSync
  readonly #tableOf: (id: number) => ReplicatedTable
  readonly #lastLog: StatementSync
  readonly #insertVersion: StatementSync
  readonly #finishVersion: StatementSync
  readonly #raiseHead: StatementSync
  #readLog: StatementSync | undefined
  #pending: Stretch[] = []
  #head = 0
  #lastLogId = 0

  constructor(database: DatabaseSync, tableOf: (id: number) => ReplicatedTable) {
    this.#database = database
    this.#tableOf = tableOf
    this.#lastLog = database.prepare(`SELECT max(id) AS id FROM crsql_log`)
    this.#insertVersion = database.prepare(
      `INSERT INTO crsql_versions VALUES (0, ?, ?, ?, NULL, ?)`,
    )
    this.#finishVersion = database.prepare(
      `UPDATE crsql_versions SET last_seq = ? WHERE site = 0 AND db_version = ? AND first = ?`,
    )
    this.#raiseHead = database.prepare(
      `INSERT INTO crsql_db_versions VALUES (0, ?)
       ON CONFLICT DO UPDATE SET db_version = max(db_version, excluded.db_version)`,
    )
    this.reload()
  }

  /** The newest own version, 0 before the first. */
  get head(): number {
    return this.#head
  }

  get hasPending(): boolean {
    return this.#pending.length > 0
  }

  /** Something was written since the last version, in the transaction that is open. */
  get hasUnsealed(): boolean {
    return this.#readLastLog() > this.#lastLogId
  }

  /** Reads what the database says: at the start, and after a rollback. */
  reload(): void {
    const rows = this.#database.prepare(
      `SELECT db_version, first, last, ts FROM crsql_versions WHERE site = 0 AND last_seq IS NULL
       ORDER BY first`,
    )
    rows.setReadBigInts(true)
    this.#pending = (rows.all() as unknown as Record<string, bigint>[]).map((row) => ({
      version: Number(row['db_version']),
      first: Number(row['first']),
      last: Number(row['last']),
      ts: BigInt.asUintN(64, row['ts'] as bigint),
    }))
    const heads = this.#database
      .prepare(
        `SELECT max(coalesce((SELECT max(db_version) FROM crsql_versions WHERE site = 0), 0),
          coalesce((SELECT db_version FROM crsql_db_versions WHERE site = 0), 0)) AS head`,
      )
      .get()
    this.#head = heads?.['head'] as number
    this.#lastLogId = this.#readLastLog()
  }

  /** Log rows of other sites were appended: they are no version of ours. */
  skipLog(): void {
    this.#lastLogId = this.#readLastLog()
  }

  /**
   * Before COMMIT: makes a version of what the transaction wrote. Returns null if that is nothing. After a
   * rollback call `reload`.
   */
  seal(ts: bigint): number | null {
    const last = this.#readLastLog()
    if (last === this.#lastLogId) return null
    const version = this.#head + 1
    const first = this.#lastLogId + 1
    this.#insertVersion.run(version, first, last, BigInt.asIntN(64, ts))
    this.#pending.push({ version, first, last, ts })
    this.#head = version
    this.#lastLogId = last
    return version
  }

  /** Works out the clocks of all pending versions, in the transaction that is open. */
  settle(): { versions: LocalVersion[]; touched: TouchedRow[] } {
    const touched: TouchedRow[] = []
    for (const stretch of this.#pending) this.#settleOne(stretch, touched)
    if (this.#pending.length > 0) this.#raiseHead.run(this.#head)
    const versions = this.#pending
    this.#pending = []
    return { versions, touched }
  }

  #settleOne({ version, first, last }: Stretch, touched: TouchedRow[]): void {
    const seqs = new SeqCounter(version)
    for (const [tableId, op, ...keys] of this.#entries(first, last)) {
      const table = this.#tableOf(Number(tableId))
      const key = keys.slice(0, table.keyWidth)
      touched.push({ table, key })
      if (op === BigInt(INSERTED)) this.#inserted(table, key, seqs)
      else if (op === BigInt(DELETED)) this.#deleted(table, key, seqs)
      else this.#updated(table, key, typeof op === 'string' ? op : Number(op), seqs)
    }
    this.#finishVersion.run(seqs.last, version, first)
  }

  #inserted(table: ReplicatedTable, key: SqlValue[], seqs: SeqCounter): void {
    const width = table.columnNames.length
    if (width > 0 && table.giveBirth(key, seqs.version, seqs.next)) {
      seqs.take(width)
      return
    }
    const clock = table.clockOf(key) ?? new RowClock(0, 0, seqs.peek())
    if (clock.isAlive) this.#raise(clock, Array(width).keys(), seqs)
    else {
      // A new life, or the first one of a table that has nothing but its key.
      clock.begin(clock.cl + 1, seqs.take(1))
      clock.birth = seqs.take(width)
      clock.width = width
    }
    table.storeClock(key, clock)
  }

  #deleted(table: ReplicatedTable, key: SqlValue[], seqs: SeqCounter): void {
    const clock = table.clockOf(key) ?? new RowClock(1, 0, seqs.peek())
    if (clock.isAlive) clock.begin(clock.cl + 1, seqs.take(1))
    table.storeClock(key, clock)
  }

  #updated(table: ReplicatedTable, key: SqlValue[], op: number | string, seqs: SeqCounter): void {
    const clock = table.clockOf(key) ?? new RowClock(1, 0, seqs.peek())
    this.#raise(clock, changedOrdinals(op), seqs)
    table.storeClock(key, clock)
  }

  #raise(clock: RowClock, ordinals: Iterable<number>, seqs: SeqCounter): void {
    for (const ordinal of ordinals) {
      const colVersion = (clock.get(ordinal)?.colVersion ?? 0) + 1
      clock.set(ordinal, { ...seqs.take(1), colVersion })
    }
  }

  #entries(first: number, last: number): Iterable<SqlValue[]> {
    // The log is as wide as the widest key, which a migration may widen.
    if (this.#readLog === undefined) {
      const columns = this.#database.prepare(`SELECT * FROM crsql_log LIMIT 0`).columns()
      const keys = columns.map(({ name }) => name).filter((name) => /^k\d+$/.test(name))
      this.#readLog = this.#database.prepare(
        `SELECT tbl, op, ${keys.join(', ')} FROM crsql_log WHERE id BETWEEN ? AND ? ORDER BY id`,
      )
      this.#readLog.setReturnArrays(true)
      this.#readLog.setReadBigInts(true)
    }
    return this.#readLog.iterate(first, last) as Iterable<unknown> as Iterable<SqlValue[]>
  }

  #readLastLog(): number {
    return (this.#lastLog.get()?.['id'] as number | null) ?? 0
  }
}

/** Hands out the seqs of one version. */
class SeqCounter {
  readonly version: number
  next = 0

  constructor(version: number) {
    this.version = version
  }

  get last(): number {
    return Math.max(0, this.next - 1)
  }

  peek(): Stamp {
    return { site: 0, version: this.version, seq: this.next }
  }

  take(count: number): Stamp {
    const stamp = this.peek()
    this.next += count
    return stamp
  }
}
