import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { packKey } from '../changes/packed-key.ts'
import { compareValues, type SqlValue } from '../changes/sql-value.ts'
import type { TouchedRow } from '../store/local-versions.ts'
import type { RowwiseShape, Source } from './query-shape.ts'

export interface LiveRow {
  /** Never used again for another row of this query. */
  readonly rowId: number
  readonly cells: readonly SqlValue[]
}

export interface RowChange extends LiveRow {
  readonly kind: 'insert' | 'update' | 'delete'
}

/** A query's result, kept as it is now. */
export interface LiveResult {
  readonly rows: Iterable<LiveRow>
  readonly rowCount: number
  /** What the writes did to it: inserts and updates first, then deletes (with the cells they had). */
  refresh(touched: readonly TouchedRow[]): RowChange[]
}

interface KeptRow {
  rowId: number
  cells: SqlValue[]
  /** The keys of the source rows that it stems from. */
  readonly origins: readonly string[]
}

/** By looking at the rows that were written: see RowwiseShape. */
export class RowwiseResult implements LiveResult {
  readonly #rows = new Map<string, KeptRow>()
  /** For each source: rows that stem from one of its rows. */
  readonly #byOrigin = new Map<Source, Map<string, Set<string>>>()
  readonly #shape: RowwiseShape
  readonly #statements = new Map<Source, StatementSync>()
  #nextRowId = 1

  constructor(database: DatabaseSync, shape: RowwiseShape) {
    this.#shape = shape
    for (const [source, sql] of shape.ofRowSql) {
      this.#statements.set(source, arrays(database.prepare(sql)))
      this.#byOrigin.set(source, new Map())
    }
    const all = arrays(database.prepare(shape.allSql)).iterate() as Iterable<unknown>
    for (const found of all as Iterable<SqlValue[]>) this.#put(...this.#split(found), [])
  }

  get rows(): Iterable<LiveRow> {
    return this.#rows.values()
  }

  get rowCount(): number {
    return this.#rows.size
  }

  refresh(touched: readonly TouchedRow[]): RowChange[] {
    const changes: RowChange[] = []
    const gone = new Set<string>()
    const seen = new Set<string>()
    for (const source of this.#shape.sources) {
      const asked = new Set<string>()
      for (const { table, key } of touched) {
        if (table.id !== source.table.id) continue
        const origin = keyText(key)
        if (asked.has(origin)) continue
        asked.add(origin)
        this.#refreshRow(source, key, origin, { changes, gone, seen })
      }
    }
    for (const id of gone) if (!seen.has(id)) this.#remove(id, changes)
    return changes
  }

  #refreshRow(
    source: Source,
    key: readonly SqlValue[],
    origin: string,
    found: { changes: RowChange[]; gone: Set<string>; seen: Set<string> },
  ): void {
    const before = this.#byOrigin.get(source)?.get(origin) ?? []
    for (const id of before) found.gone.add(id)
    const rows = this.#statements.get(source)?.all(...(key as SqlValue[])) ?? []
    for (const row of rows as unknown as SqlValue[][]) {
      const [id, origins, cells] = this.#split(row)
      found.seen.add(id)
      this.#put(id, origins, cells, found.changes)
    }
  }

  #put(id: string, origins: string[], cells: SqlValue[], changes: RowChange[]): void {
    const known = this.#rows.get(id)
    if (known !== undefined) {
      if (sameCells(known.cells, cells)) return
      known.cells = cells
      changes.push({ kind: 'update', rowId: known.rowId, cells })
      return
    }
    const rowId = this.#nextRowId++
    this.#rows.set(id, { rowId, cells, origins })
    for (const [at, source] of this.#shape.sources.entries()) {
      const index = this.#byOrigin.get(source) as Map<string, Set<string>>
      const origin = origins[at] as string
      const ids = index.get(origin)
      if (ids === undefined) index.set(origin, new Set([id]))
      else ids.add(id)
    }
    changes.push({ kind: 'insert', rowId, cells })
  }

  #remove(id: string, changes: RowChange[]): void {
    const row = this.#rows.get(id)
    if (row === undefined) return
    this.#rows.delete(id)
    for (const [at, source] of this.#shape.sources.entries()) {
      const index = this.#byOrigin.get(source)
      const ids = index?.get(row.origins[at] as string)
      ids?.delete(id)
      if (ids?.size === 0) index?.delete(row.origins[at] as string)
    }
    changes.push({ kind: 'delete', rowId: row.rowId, cells: row.cells })
  }

  #split(row: SqlValue[]): [string, string[], SqlValue[]] {
    const origins: string[] = []
    let at = 0
    for (const { table } of this.#shape.sources) {
      origins.push(keyText(row.slice(at, at + table.keyWidth)))
      at += table.keyWidth
    }
    return [
      origins.length === 1 ? (origins[0] as string) : origins.join('/'),
      origins,
      row.slice(at),
    ]
  }
}

/** Runs the whole query again and compares: for whatever is not rowwise. */
export class RerunResult implements LiveResult {
  readonly #statement: StatementSync
  #rows = new Map<string, LiveRow>()
  #nextRowId = 1

  constructor(database: DatabaseSync, sql: string) {
    this.#statement = arrays(database.prepare(sql))
    this.refresh()
  }

  get rows(): Iterable<LiveRow> {
    return this.#rows.values()
  }

  get rowCount(): number {
    return this.#rows.size
  }

  refresh(): RowChange[] {
    const changes: RowChange[] = []
    const next = new Map<string, LiveRow>()
    const copies = new Map<string, number>()
    for (const cells of this.#statement.iterate() as Iterable<unknown> as Iterable<SqlValue[]>) {
      const text = keyText(cells)
      const copy = copies.get(text) ?? 0
      copies.set(text, copy + 1)
      const id = `${text}#${copy}`
      const known = this.#rows.get(id)
      if (known === undefined) {
        const row = { rowId: this.#nextRowId++, cells }
        next.set(id, row)
        changes.push({ kind: 'insert', ...row })
      } else next.set(id, known)
    }
    for (const [id, row] of this.#rows) if (!next.has(id)) changes.push({ kind: 'delete', ...row })
    this.#rows = next
    return changes
  }
}

function arrays(statement: StatementSync): StatementSync {
  statement.setReturnArrays(true)
  statement.setReadBigInts(true)
  return statement
}

const keyText = (values: readonly SqlValue[]) => Buffer.from(packKey(values)).toString('latin1')

function sameCells(a: readonly SqlValue[], b: readonly SqlValue[]): boolean {
  return a.every((cell, at) => compareValues(cell, b[at] ?? null) === 0)
}
