import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { packKey } from '../changes/packed-key.ts'
import type { SqlValue } from '../changes/sql-value.ts'
import { quoteName } from '../schema/sql-tokens.ts'
import { replicated, type TableShape } from '../schema/table-shape.ts'
import {
  type ClockRow,
  decodeClock,
  encodeOverrides,
  ROW,
  type RowClock,
  type Stamp,
} from './row-clock.ts'
import { clockName, logKeyNames, REMOTE } from './shadow-schema.ts'

/** Statements for different sets of columns, kept of those used last. */
const UPSERTS_MAX = 256

/** A replicated table with the statements that merge and read its rows. */
export class ReplicatedTable {
  readonly id: number
  readonly shape: TableShape
  /** Names of replicated columns by ordinal, and the other way. */
  readonly columnNames: readonly string[]
  readonly ordinals: ReadonlyMap<string, number>
  readonly keyWidth: number
  readonly #database: DatabaseSync
  readonly #upserts = new Map<string, StatementSync>()
  readonly #selectClock: StatementSync
  readonly #storeClock: StatementSync
  readonly #giveBirth: StatementSync
  readonly #endLife: StatementSync
  readonly #selectRow: StatementSync
  readonly #deleteRow: StatementSync
  readonly #appendLog: StatementSync

  constructor(database: DatabaseSync, id: number, shape: TableShape) {
    this.#database = database
    this.id = id
    this.shape = shape
    this.columnNames = replicated(shape).map(({ name }) => name)
    this.ordinals = new Map(this.columnNames.map((name, ordinal) => [name, ordinal]))
    this.keyWidth = shape.key.length
    const clock = clockName(shape.name)
    const keys = logKeyNames(this.keyWidth)
    const marks = keys.map(() => '?').join(', ')
    const isKey = keys.map((key) => `${key} = ?`).join(' AND ')
    const where = shape.key.map(({ name }) => `${quoteName(name)} = ?`).join(' AND ')
    const columns = this.columnNames.map(quoteName)
    this.#selectClock = arrays(
      database.prepare(
        `SELECT cl, site, version, seq, width, overrides FROM ${clock} WHERE ${isKey}`,
      ),
    )
    const insertClock = `INSERT INTO ${clock} (cl, site, version, seq, width, overrides, ${keys.join(', ')})`
    this.#storeClock = database.prepare(
      `${insertClock} VALUES (?, ?, ?, ?, ?, ?, ${marks}) ON CONFLICT DO UPDATE SET cl = excluded.cl,
       site = excluded.site, version = excluded.version, seq = excluded.seq, width = excluded.width,
       overrides = excluded.overrides`,
    )
    this.#giveBirth = database.prepare(
      `${insertClock} VALUES (1, ?, ?, ?, ${columns.length}, NULL, ${marks}) ON CONFLICT DO NOTHING`,
    )
    this.#endLife = database.prepare(
      `UPDATE ${clock} SET cl = cl + 1, width = 0, overrides = '[${ROW},' || (cl + 1) || ',' || ? || ']'
       WHERE ${isKey} AND cl % 2 = 1`,
    )
    const name = quoteName(shape.name)
    this.#selectRow = arrays(
      database.prepare(`SELECT ${['1', ...columns].join(', ')} FROM ${name} WHERE ${where}`),
    )
    this.#selectRow.setReadBigInts(true)
    this.#deleteRow = database.prepare(`DELETE FROM ${name} WHERE ${where}`)
    this.#appendLog = database.prepare(
      `INSERT INTO crsql_log (tbl, op, ${keys.join(', ')}) VALUES (${id}, ${REMOTE}, ${marks})`,
    )
  }

  get name(): string {
    return this.shape.name
  }

  clockOf(key: readonly SqlValue[]): RowClock | undefined {
    const row = this.#selectClock.get(...(key as SqlValue[])) as ClockRow | undefined
    return row === undefined ? undefined : decodeClock(row)
  }

  storeClock(key: readonly SqlValue[], clock: RowClock): void {
    clock.compact(this.columnNames.length)
    const { site, version, seq } = clock.birth
    const overrides = encodeOverrides(clock.overrides)
    this.#storeClock.run(
      clock.cl,
      site,
      version,
      seq,
      clock.width,
      overrides,
      ...(key as SqlValue[]),
    )
  }

  /** The clock of a row that this site inserted, if there was none yet. */
  giveBirth(key: readonly SqlValue[], { site, version, seq }: Stamp): boolean {
    return this.#giveBirth.run(site, version, seq, ...(key as SqlValue[])).changes === 1
  }

  /** The clock of a living row that this site deleted; false when there is none. As RowClock.begin. */
  endLife(key: readonly SqlValue[], { site, version, seq }: Stamp): boolean {
    const stamp = `${site},${version},${seq}`
    return this.#endLife.run(stamp, ...(key as SqlValue[])).changes === 1
  }

  /** Values of the replicated columns by ordinal; undefined when there is no such row. */
  valuesOf(key: readonly SqlValue[]): SqlValue[] | undefined {
    const row = this.#selectRow.get(...(key as SqlValue[])) as SqlValue[] | undefined
    return row?.slice(1)
  }

  deleteRow(key: readonly SqlValue[]): void {
    this.#deleteRow.run(...(key as SqlValue[]))
  }

  /** Makes the row exist and sets these columns. @throws what SQLite says of a constraint */
  upsertRow(key: readonly SqlValue[], values: ReadonlyMap<number, SqlValue>): void {
    const signature = [...values.keys()].join()
    let statement = this.#upserts.get(signature)
    if (statement === undefined) {
      statement = this.#database.prepare(this.#upsertSql([...values.keys()]))
      const [oldest] = this.#upserts.keys()
      if (this.#upserts.size >= UPSERTS_MAX && oldest !== undefined) this.#upserts.delete(oldest)
      this.#upserts.set(signature, statement)
    }
    statement.run(...(key as SqlValue[]), ...values.values())
  }

  /** Notes in the log that another site's version wrote this row. */
  appendLog(key: readonly SqlValue[]): void {
    this.#appendLog.run(...(key as SqlValue[]))
  }

  packed(key: readonly SqlValue[]): Uint8Array {
    return packKey(key)
  }

  #upsertSql(ordinals: readonly number[]): string {
    const keys = this.shape.key.map(({ name }) => quoteName(name))
    const columns = ordinals.map((ordinal) => quoteName(this.columnNames[ordinal] as string))
    const all = [...keys, ...columns]
    const update =
      columns.length === 0
        ? 'NOTHING'
        : `UPDATE SET ${columns.map((column) => `${column} = excluded.${column}`).join(', ')}`
    return `INSERT INTO ${quoteName(this.name)} (${all.join(', ')})
      VALUES (${all.map(() => '?').join(', ')}) ON CONFLICT (${keys.join(', ')}) DO ${update}`
  }
}

function arrays(statement: StatementSync): StatementSync {
  statement.setReturnArrays(true)
  return statement
}
