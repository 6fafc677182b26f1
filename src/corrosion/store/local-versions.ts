import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { SqlValue } from '../changes/sql-value.ts'
import type { ReplicatedTable } from './replicated-table.ts'
import { RowClock, type Stamp } from './row-clock.ts'
import { changedOrdinals, DELETED, INSERTED, REMOTE, VERSION_END } from './shadow-schema.ts'

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

const SETTLED = 'settled_log_id'
/** Read at a time: bounds the memory that a long log takes. */
const LOG_ROWS = 1_000

/**
 * This node's own versions. A transaction costs it one log row for each row written (by triggers) and one
 * that ends the version. The clocks that follow from it are worked out soon after, many versions at once;
 * if the process dies between, the next start finds the rest of the log unsettled.
 */
export class LocalVersions {
  readonly #tableOf: (id: number) => ReplicatedTable
  readonly #self: number
  readonly #lastLog: StatementSync
  readonly #endVersion: StatementSync
  readonly #insertVersion: StatementSync
  readonly #raiseHead: StatementSync
  readonly #moveMark: StatementSync
  readonly #readMark: StatementSync
  readonly #readHead: StatementSync
  readonly #readLog: StatementSync
  #head = 0
  /** The end of the newest version, own or another's. */
  #sealedLogId = 0
  #settledLogId = 0

  /** `self`: this node's ordinal. */
  constructor(database: DatabaseSync, tableOf: (id: number) => ReplicatedTable, self: number) {
    this.#self = self
    this.#tableOf = tableOf
    this.#lastLog = database.prepare(`SELECT max(id) AS id FROM crsql_log`)
    this.#endVersion = database.prepare(
      `INSERT INTO crsql_log (tbl, op, k0) VALUES (0, ${VERSION_END}, ?)`,
    )
    this.#insertVersion = database.prepare(
      `INSERT INTO crsql_versions VALUES (${self}, ?, ?, ?, ?, ?)`,
    )
    this.#raiseHead = database.prepare(
      `INSERT INTO crsql_db_versions VALUES (${self}, ?)
       ON CONFLICT DO UPDATE SET db_version = max(db_version, excluded.db_version)`,
    )
    this.#moveMark = database.prepare(
      `INSERT INTO crsql_master VALUES ('${SETTLED}', ?)
       ON CONFLICT DO UPDATE SET value = excluded.value`,
    )
    this.#readMark = database.prepare(`SELECT value FROM crsql_master WHERE key = '${SETTLED}'`)
    this.#readHead = database.prepare(
      `SELECT db_version FROM crsql_db_versions WHERE site = ${self}`,
    )
    this.#readLog = database.prepare(unsettledSql(database))
    this.#readLog.setReturnArrays(true)
    this.#readLog.setReadBigInts(true)
    this.reload()
  }

  /** The newest own version, 0 before the first. */
  get head(): number {
    return this.#head
  }

  get hasUnsettled(): boolean {
    return this.#sealedLogId > this.#settledLogId
  }

  /** Something was written since the last version, in the transaction that is open. */
  get hasUnsealed(): boolean {
    return this.#readLastLog() > this.#sealedLogId
  }

  /** Reads what the database says: at the start, and after a rollback. */
  reload(): void {
    this.#settledLogId = (this.#readMark.get()?.['value'] as number | undefined) ?? 0
    this.#head = (this.#readHead.get()?.['db_version'] as number | undefined) ?? 0
    this.#sealedLogId = this.#settledLogId
    for (const [id, , op] of this.#unsettled()) {
      if (op !== BigInt(VERSION_END)) continue
      this.#head += 1
      this.#sealedLogId = Number(id)
    }
  }

  /**
   * Log rows of other sites were appended: they belong to no version of ours. Everything before them
   * must be settled.
   */
  skipLog(): void {
    this.#sealedLogId = this.#readLastLog()
    this.#markSettled(this.#sealedLogId)
  }

  /**
   * Before COMMIT: makes a version of what the transaction wrote. Returns null if that is nothing. After a
   * rollback call `reload`.
   */
  seal(ts: bigint): number | null {
    const last = this.#readLastLog()
    if (last === this.#sealedLogId) return null
    this.#endVersion.run(BigInt.asIntN(64, ts))
    this.#head += 1
    this.#sealedLogId = last + 1
    return this.#head
  }

  /** Works out the clocks of all versions that have committed, in the transaction that is open. */
  settle(): { versions: LocalVersion[]; touched: TouchedRow[] } {
    const versions: LocalVersion[] = []
    const touched: TouchedRow[] = []
    if (!this.hasUnsettled) return { versions, touched }
    let version = (this.#readHead.get()?.['db_version'] as number | undefined) ?? 0
    let seqs = new SeqCounter(this.#self, version + 1)
    let first = this.#settledLogId + 1
    let end = this.#settledLogId
    for (const [id, tableId, op, ...keys] of this.#unsettled()) {
      if (op === BigInt(VERSION_END)) {
        version += 1
        const ts = keys[0] as bigint
        this.#insertVersion.run(version, first, Number(id), seqs.last, ts)
        versions.push({ version, ts: BigInt.asUintN(64, ts) })
        seqs = new SeqCounter(this.#self, version + 1)
        end = Number(id)
        first = end + 1
      } else if (op !== BigInt(REMOTE)) {
        const table = this.#tableOf(Number(tableId))
        const key = keys.slice(0, table.keyWidth)
        touched.push({ table, key })
        this.#settleRow(table, key, op as bigint | string, seqs)
      }
    }
    this.#raiseHead.run(version)
    this.#markSettled(end)
    return { versions, touched }
  }

  #settleRow(table: ReplicatedTable, key: SqlValue[], op: bigint | string, seqs: SeqCounter): void {
    if (op === BigInt(INSERTED)) this.#inserted(table, key, seqs)
    else if (op === BigInt(DELETED)) this.#deleted(table, key, seqs)
    else {
      const clock = table.clockOf(key) ?? new RowClock(1, 0, seqs.peek())
      raise(clock, changedOrdinals(typeof op === 'string' ? op : Number(op)), seqs)
      table.storeClock(key, clock)
    }
  }

  #inserted(table: ReplicatedTable, key: SqlValue[], seqs: SeqCounter): void {
    const width = table.columnNames.length
    if (width > 0 && table.giveBirth(key, seqs.peek())) {
      seqs.take(width)
      return
    }
    const clock = table.clockOf(key) ?? new RowClock(0, 0, seqs.peek())
    if (clock.isAlive) raise(clock, Array(width).keys(), seqs)
    else {
      // A new life, or the first one of a table that has nothing but its key.
      clock.begin(clock.cl + 1, seqs.take(1))
      clock.birth = seqs.take(width)
      clock.width = width
    }
    table.storeClock(key, clock)
  }

  #deleted(table: ReplicatedTable, key: SqlValue[], seqs: SeqCounter): void {
    if (table.endLife(key, seqs.peek())) {
      seqs.take(1)
      return
    }
    const clock = table.clockOf(key) ?? new RowClock(1, 0, seqs.peek())
    if (clock.isAlive) clock.begin(clock.cl + 1, seqs.take(1))
    table.storeClock(key, clock)
  }

  #markSettled(id: number): void {
    if (id === this.#settledLogId) return
    this.#settledLogId = id
    this.#moveMark.run(id)
  }

  /** id, tbl, op, keys */
  *#unsettled(): Generator<SqlValue[]> {
    for (let after: SqlValue = this.#settledLogId; ; ) {
      const rows = this.#readLog.all(after) as unknown as SqlValue[][]
      yield* rows
      if (rows.length < LOG_ROWS) return
      after = (rows.at(-1) as SqlValue[])[0] as bigint
    }
  }

  #readLastLog(): number {
    return (this.#lastLog.get()?.['id'] as number | null) ?? 0
  }
}

/** The log is as wide as the widest key. */
function unsettledSql(database: DatabaseSync): string {
  const columns = database.prepare(`SELECT * FROM crsql_log LIMIT 0`).columns()
  const keys = columns.map(({ name }) => name).filter((name) => /^k\d+$/.test(name))
  return `SELECT id, tbl, op, ${keys.join(', ')} FROM crsql_log WHERE id > ? ORDER BY id LIMIT ${LOG_ROWS}`
}

function raise(clock: RowClock, ordinals: Iterable<number>, seqs: SeqCounter): void {
  for (const ordinal of ordinals) {
    const colVersion = (clock.get(ordinal)?.colVersion ?? 0) + 1
    clock.set(ordinal, { ...seqs.take(1), colVersion })
  }
}

/** Hands out the seqs of one version. */
class SeqCounter {
  readonly site: number
  readonly version: number
  next = 0

  constructor(site: number, version: number) {
    this.site = site
    this.version = version
  }

  get last(): number {
    return Math.max(0, this.next - 1)
  }

  peek(): Stamp {
    return { site: this.site, version: this.version, seq: this.next }
  }

  take(count: number): Stamp {
    const stamp = this.peek()
    this.next += count
    return stamp
  }
}
