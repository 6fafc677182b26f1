// HOT: runs once per change that is sent or received.
import type { ActorId } from '../changes/actor-id.ts'
import type {
  Changeset,
  ColumnChange,
  FullChangeset,
  RowChanges,
  TableChanges,
} from '../changes/changeset.ts'
import type { ByteReader } from './byte-reader.ts'
import type { ByteWriter } from './byte-writer.ts'

/**
 * ChangeV1: the actor, then a Changeset by its tag. All integers are little-endian.
 *   0 Empty     versions, ts?                                       (ts may be missing at the end)
 *   1 Full      version, changes[], seqs, lastSeq, ts               (older senders)
 *   2 EmptySet  versions[], ts                                      (takes no effect)
 *   3 FullV2    actor, version, tables{rows{columns[]}}, lastSeq, seqs, ts
 */
const Tag = { empty: 0, full: 1, emptySet: 2, fullV2: 3 } as const

/** What lists take at least: cid 4, value 1, col_version, seq and cl 8 each. */
const COLUMN_BYTES_MIN = 29
const ROW_BYTES_MIN = 8
const TABLE_BYTES_MIN = 8
/** table, pk, cid 4 each, value 1, col_version, db_version, seq and cl 8 each, site 16. */
const CHANGE_BYTES_MIN = 61

/** Appends the changeset as Empty or FullV2. @throws WireError wire.unencodable */
export function writeChange(writer: ByteWriter, changeset: Changeset): void {
  writer.actor(changeset.actor)
  if (changeset.kind === 'full') {
    writeFullV2(writer, changeset)
    return
  }
  writer.u32(Tag.empty)
  writer.u64(changeset.versions.start)
  writer.u64(changeset.versions.end)
  writer.u8(changeset.ts === null ? 0 : 1)
  if (changeset.ts !== null) writer.bigU64(changeset.ts)
}

function writeFullV2(writer: ByteWriter, changeset: FullChangeset): void {
  writer.u32(Tag.fullV2)
  writer.actor(changeset.actor)
  writer.u64(changeset.version)
  writer.u32(changeset.tables.length)
  for (const { table, rows } of changeset.tables) {
    writer.text(table)
    writer.u32(rows.length)
    for (const { pk, columns } of rows) {
      writer.blob(pk)
      writer.u32(columns.length)
      for (const column of columns) writeColumn(writer, column)
    }
  }
  writer.u64(changeset.lastSeq)
  writer.u64(changeset.seqs.start)
  writer.u64(changeset.seqs.end)
  writer.bigU64(changeset.ts)
}

function writeColumn(writer: ByteWriter, column: ColumnChange): void {
  writer.text(column.cid)
  writer.value(column.val)
  writer.u64(column.colVersion)
  writer.u64(column.seq)
  writer.u64(column.cl)
}

/** Reads a ChangeV1; null for an EmptySet, which takes no effect. @throws WireError wire.malformed */
export function readChange(reader: ByteReader): Changeset | null {
  const actor = reader.actor()
  const tag = reader.u32()
  switch (tag) {
    case Tag.empty:
      return { kind: 'empty', actor, versions: reader.range(), ts: readOptionalTs(reader) }
    case Tag.full:
      return readFull(reader, actor)
    case Tag.emptySet:
      reader.ranges()
      reader.bigU64()
      return null
    case Tag.fullV2:
      return readFullV2(reader, actor)
    default:
      throw reader.bad('a changeset has no known kind')
  }
}

function readOptionalTs(reader: ByteReader): bigint | null {
  if (reader.left === 0) return null
  return reader.bool() ? reader.bigU64() : null
}

function readFullV2(reader: ByteReader, actor: ActorId): FullChangeset {
  reader.sameActor(actor)
  const version = reader.u64()
  const tables: TableChanges[] = []
  for (let left = reader.count(TABLE_BYTES_MIN); left > 0; left -= 1) tables.push(readTable(reader))
  const lastSeq = reader.u64()
  const seqs = reader.range()
  const ts = reader.bigU64()
  return checkSeqs(reader, { kind: 'full', actor, version, tables, seqs, lastSeq, ts })
}

function readTable(reader: ByteReader): TableChanges {
  const table = reader.text()
  const rows: RowChanges[] = []
  for (let left = reader.count(ROW_BYTES_MIN); left > 0; left -= 1) {
    const pk = reader.blob()
    const columns: ColumnChange[] = []
    for (let more = reader.count(COLUMN_BYTES_MIN); more > 0; more -= 1) {
      columns.push(readColumn(reader))
    }
    rows.push({ pk, columns })
  }
  return { table, rows }
}

function readColumn(reader: ByteReader): ColumnChange {
  const cid = reader.name()
  const val = reader.value()
  const colVersion = reader.u64()
  const seq = reader.u64()
  return { cid, val, colVersion, seq, cl: reader.u64() }
}

function readFull(reader: ByteReader, actor: ActorId): FullChangeset {
  const version = reader.u64()
  const grouping = new Grouping()
  for (let left = reader.count(CHANGE_BYTES_MIN); left > 0; left -= 1) {
    const table = reader.text()
    const pk = reader.blob()
    const cid = reader.name()
    const val = reader.value()
    const colVersion = reader.u64()
    if (reader.u64() !== version) throw reader.bad('a change is of another version')
    const seq = reader.u64()
    reader.sameActor(actor)
    grouping.add(table, pk, { cid, val, colVersion, seq, cl: reader.u64() })
  }
  const seqs = reader.range()
  const lastSeq = reader.u64()
  const ts = reader.bigU64()
  const { tables } = grouping
  return checkSeqs(reader, { kind: 'full', actor, version, tables, seqs, lastSeq, ts })
}

/** The flat list of an older sender, by table and row in order of first mention. */
class Grouping {
  readonly tables: { table: string; rows: { pk: Uint8Array; columns: ColumnChange[] }[] }[] = []
  readonly #columnsByRow = new Map<string, Map<string, ColumnChange[]>>()
  readonly #rowsByTable = new Map<string, { pk: Uint8Array; columns: ColumnChange[] }[]>()

  add(table: string, pk: Uint8Array, column: ColumnChange): void {
    let byRow = this.#columnsByRow.get(table)
    let rows = this.#rowsByTable.get(table)
    if (byRow === undefined || rows === undefined) {
      byRow = new Map()
      rows = []
      this.#columnsByRow.set(table, byRow)
      this.#rowsByTable.set(table, rows)
      this.tables.push({ table, rows })
    }
    const key = Buffer.from(pk.buffer, pk.byteOffset, pk.length).toString('latin1')
    const columns = byRow.get(key)
    if (columns !== undefined) {
      columns.push(column)
      return
    }
    const fresh = [column]
    byRow.set(key, fresh)
    rows.push({ pk, columns: fresh })
  }
}

/** Versions start at 1; a part lies within its version, its changes within the part. */
function checkSeqs(reader: ByteReader, changeset: FullChangeset): FullChangeset {
  const { version, seqs, lastSeq, tables } = changeset
  if (version === 0) throw reader.bad('a version is 0')
  if (seqs.end > lastSeq) throw reader.bad('seqs go beyond the last one of their version')
  for (const { rows } of tables) {
    for (const { columns } of rows) {
      for (const { seq } of columns) {
        if (seq < seqs.start || seq > seqs.end) throw reader.bad('a change lies outside its seqs')
      }
    }
  }
  return changeset
}
