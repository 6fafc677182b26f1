import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { deserialize } from 'node:v8'
import { type ActorId, actorIdBytes } from '../changes/actor-id.ts'
import {
  type Changeset,
  type ColumnChange,
  SENTINEL,
  type TableChanges,
} from '../changes/changeset.ts'
import type { Range } from '../changes/range-set.ts'
import type { SqlValue } from '../changes/sql-value.ts'
import { quoteName } from '../schema/sql-tokens.ts'
import { replicated, type TableShape } from '../schema/table-shape.ts'
import type { EarlyChanges } from './early-changes.ts'
import type { ReplicatedTable } from './replicated-table.ts'
import { decodeClock, ROW } from './row-clock.ts'
import { clockName, logKeyNames } from './shadow-schema.ts'

interface FlatChange extends ColumnChange {
  readonly table: string
  readonly pk: Uint8Array
}

interface WholeVersion {
  readonly changes: readonly FlatChange[]
  readonly lastSeq: number
  readonly ts: bigint
}

/** Bytes of a change on the wire besides its name and value. */
const CHANGE_BYTES = 24

/** Reads what is left of a version, as changesets for peers. */
export class VersionReader {
  readonly #tableOf: (id: number) => ReplicatedTable
  readonly #early: EarlyChanges
  readonly #database: DatabaseSync
  readonly #stretches: StatementSync
  readonly #tables: StatementSync
  readonly #allTables: StatementSync
  readonly #rows = new Map<ReplicatedTable, StatementSync>()
  readonly #buffered: StatementSync

  constructor(
    database: DatabaseSync,
    tableOf: (id: number) => ReplicatedTable,
    early: EarlyChanges,
  ) {
    this.#early = early
    this.#tableOf = tableOf
    this.#database = database
    this.#stretches = database.prepare(
      `SELECT first, last, last_seq, ts FROM crsql_versions WHERE site = ? AND db_version = ?`,
    )
    this.#stretches.setReturnArrays(true)
    this.#stretches.setReadBigInts(true)
    this.#buffered = database.prepare(
      `SELECT start_seq, end_seq, last_seq, ts, changes FROM __corro_buffered_changes
       WHERE site_id = ? AND db_version = ? ORDER BY start_seq`,
    )
    this.#buffered.setReturnArrays(true)
    this.#buffered.setReadBigInts(true)
    const ofStretch = `FROM crsql_log WHERE id BETWEEN ? AND ? AND tbl > 0`
    this.#tables = database.prepare(`SELECT min(tbl), max(tbl) ${ofStretch}`)
    this.#tables.setReturnArrays(true)
    this.#allTables = database.prepare(`SELECT DISTINCT tbl ${ofStretch}`)
    this.#allTables.setReturnArrays(true)
  }

  /**
   * A version that is here whole, in changesets of about `chunkBytes` that tile `seqs` (or all of it).
   * Empty when nothing of it is left.
   */
  *whole(
    actor: ActorId,
    site: number,
    version: number,
    chunkBytes: () => number,
    seqs?: readonly Range[],
  ): Generator<Changeset> {
    const found = this.#read(site, version)
    if (found === undefined) {
      yield { kind: 'empty', actor, versions: { start: version, end: version }, ts: null }
      return
    }
    const { changes, lastSeq, ts } = found
    for (const range of seqs ?? [{ start: 0, end: lastSeq }]) {
      const bound = { start: range.start, end: Math.min(range.end, lastSeq) }
      const inside = changes.filter(({ seq }) => seq >= bound.start && seq <= bound.end)
      for (const part of chunks(inside, bound, chunkBytes)) {
        yield { kind: 'full', actor, version, lastSeq, ts, ...part }
      }
    }
  }

  /** What is buffered of a version that is not whole yet. */
  *buffered(actor: ActorId, version: number, seqs?: readonly Range[]): Generator<Changeset> {
    const rows = this.#buffered.all(actorIdBytes(actor), version) as unknown as BufferedRow[]
    for (const [start, end, lastSeq, ts, changes] of rows) {
      const range = { start: Number(start), end: Number(end) }
      if (seqs !== undefined && !seqs.some((wanted) => overlaps(wanted, range))) continue
      yield {
        kind: 'full',
        actor,
        version,
        seqs: range,
        lastSeq: Number(lastSeq),
        ts: BigInt.asUintN(64, ts),
        tables: deserialize(changes) as TableChanges[],
      }
    }
  }

  #read(site: number, version: number): WholeVersion | undefined {
    const changes: FlatChange[] = []
    let lastSeq = 0
    let ts = 0n
    for (const row of this.#stretches.all(site, version) as unknown as bigint[][]) {
      const [first, last] = row as [bigint, bigint]
      lastSeq = Math.max(lastSeq, Number(row[2] ?? 0n))
      ts = BigInt.asUintN(64, row[3] as bigint)
      for (const table of this.#tablesIn(first, last)) {
        for (const found of this.#rowsIn(table, first, last)) {
          flatten(table, found, site, version, changes)
        }
      }
    }
    const early = this.#early.of(site, version)
    if (early !== undefined) {
      changes.push(...early.changes)
      lastSeq = early.lastSeq
      ts = early.ts
    }
    if (changes.length === 0) return undefined
    changes.sort((a, b) => a.seq - b.seq)
    // A row that the version wrote twice is in the log twice.
    const once = changes.filter(({ seq }, at) => seq !== changes[at - 1]?.seq)
    return { changes: once, lastSeq, ts }
  }

  /** Of most versions there is one. */
  #tablesIn(first: bigint, last: bigint): ReplicatedTable[] {
    const [lowest, highest] = this.#tables.get(first, last) as unknown as [number, number]
    if (lowest === null) return []
    if (lowest === highest) return [this.#tableOf(lowest)]
    const all = this.#allTables.all(first, last) as unknown as [number][]
    return all.map(([id]) => this.#tableOf(id))
  }

  /** Rows that a stretch of the log names, as they are now. */
  #rowsIn(table: ReplicatedTable, first: bigint, last: bigint): SqlValue[][] {
    let statement = this.#rows.get(table)
    if (statement === undefined) {
      statement = this.#database.prepare(loggedRowsSql(table.shape))
      statement.setReturnArrays(true)
      statement.setReadBigInts(true)
      this.#rows.set(table, statement)
    }
    return statement.all(first, last, table.id) as unknown as SqlValue[][]
  }
}

type BufferedRow = [bigint, bigint, bigint, bigint, Uint8Array]

/** A row's key, clock (see CLOCK_CELLS) and values, NULL where it is deleted. */
function flatten(
  table: ReplicatedTable,
  found: SqlValue[],
  site: number,
  version: number,
  changes: FlatChange[],
): void {
  const { name, keyWidth, columnNames } = table
  const clock = decodeClock(
    found.slice(keyWidth, keyWidth + CLOCK_CELLS).map((cell) => {
      return typeof cell === 'bigint' ? Number(cell) : cell
    }),
  )
  let pk: Uint8Array | undefined
  for (const [ordinal, { colVersion, seq }] of clock.writtenBy(site, version)) {
    pk ??= table.packed(found.slice(0, keyWidth))
    if (ordinal === ROW) {
      changes.push({ table: name, pk, cid: SENTINEL, val: null, colVersion, seq, cl: clock.cl })
      continue
    }
    const val = found[keyWidth + CLOCK_CELLS + ordinal] ?? null
    const cid = columnNames[ordinal] as string
    changes.push({ table: name, pk, cid, val, colVersion, seq, cl: clock.cl })
  }
}

/** cl, site, version, seq, width, overrides */
const CLOCK_CELLS = 6

function loggedRowsSql(shape: TableShape): string {
  const keys = logKeyNames(shape.key.length)
  const columns = replicated(shape).map(({ name }) => `t.${quoteName(name)}`)
  const cells = [
    ...keys.map((key) => `l.${key}`),
    'c.cl, c.site, c.version, c.seq, c.width, c.overrides',
    ...columns,
  ]
  const isClock = keys.map((key) => `c.${key} = l.${key}`)
  const isRow = shape.key.map(({ name }, at) => `t.${quoteName(name)} = l.${keys[at]}`)
  return `SELECT ${cells.join(', ')} FROM crsql_log l
    CROSS JOIN ${clockName(shape.name)} c ON ${isClock.join(' AND ')}
    LEFT JOIN ${quoteName(shape.name)} t ON ${isRow.join(' AND ')}
    WHERE l.id BETWEEN ? AND ? AND l.tbl = ?`
}

/** Parts whose seq ranges tile `bound`, holes included. */
function* chunks(
  changes: readonly FlatChange[],
  bound: Range,
  chunkBytes: () => number,
): Generator<{ tables: TableChanges[]; seqs: Range }> {
  let start = bound.start
  let at = 0
  do {
    const limit = chunkBytes()
    const part: FlatChange[] = []
    for (let bytes = 0; at < changes.length && (bytes < limit || part.length === 0); at += 1) {
      const change = changes[at] as FlatChange
      bytes += sizeOf(change)
      part.push(change)
    }
    const end = at < changes.length ? (part.at(-1) as FlatChange).seq : bound.end
    yield { tables: grouped(part), seqs: { start, end } }
    start = end + 1
  } while (at < changes.length)
}

/** By table, then by row, in the order of seqs. */
function grouped(changes: readonly FlatChange[]): TableChanges[] {
  const tables: { table: string; rows: { pk: Uint8Array; columns: ColumnChange[] }[] }[] = []
  for (const { table, pk, cid, val, colVersion, seq, cl } of changes) {
    let last = tables.at(-1)
    if (last?.table !== table) {
      last = { table, rows: [] }
      tables.push(last)
    }
    let row = last.rows.at(-1)
    if (row?.pk !== pk) {
      row = { pk, columns: [] }
      last.rows.push(row)
    }
    row.columns.push({ cid, val, colVersion, seq, cl })
  }
  return tables
}

function sizeOf({ cid, val, pk }: FlatChange): number {
  const size =
    typeof val === 'string' ? Buffer.byteLength(val) : val instanceof Uint8Array ? val.length : 8
  return CHANGE_BYTES + cid.length + pk.length + size
}

const overlaps = (a: Range, b: Range) => a.start <= b.end && b.start <= a.end
