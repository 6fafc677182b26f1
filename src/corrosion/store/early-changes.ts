import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { ColumnChange, TableChanges } from '../changes/changeset.ts'
import type { SqlValue } from '../changes/sql-value.ts'
import type { RemoteVersion } from './remote-version.ts'

/** A change with its row, as it is kept. */
export interface EarlyChange extends ColumnChange {
  readonly table: string
  readonly pk: Uint8Array
}

type Row = [Uint8Array, string, SqlValue, bigint, bigint, bigint, bigint, bigint, string]

/**
 * Changes of tables and columns that this node does not have yet: others got the new schema first. The rest of
 * their version counts; these wait, are passed on to peers, and are merged once the schema is here.
 */
export class EarlyChanges {
  readonly #insert: StatementSync
  readonly #ofVersion: StatementSync
  readonly #versions: StatementSync
  readonly #delete: StatementSync

  constructor(database: DatabaseSync) {
    this.#insert = database.prepare(
      `INSERT OR REPLACE INTO __corro_early_changes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    )
    this.#ofVersion = database.prepare(
      `SELECT pk, cid, val, col_version, cl, seq, last_seq, ts, tbl FROM __corro_early_changes
       WHERE site = ? AND db_version = ? ORDER BY seq`,
    )
    this.#ofVersion.setReturnArrays(true)
    this.#ofVersion.setReadBigInts(true)
    this.#versions = database.prepare(`SELECT DISTINCT site, db_version FROM __corro_early_changes`)
    this.#versions.setReturnArrays(true)
    this.#delete = database.prepare(
      `DELETE FROM __corro_early_changes WHERE site = ? AND db_version = ?`,
    )
  }

  keep(origin: RemoteVersion, table: string, pk: Uint8Array, change: ColumnChange): void {
    const { site, version, lastSeq, ts } = origin
    const { cid, val, colVersion, seq, cl } = change
    const signed = BigInt.asIntN(64, ts)
    this.#insert.run(site, version, seq, lastSeq, signed, table, pk, cid, val, colVersion, cl)
  }

  /** What is kept of a version; undefined for most. */
  of(
    site: number,
    version: number,
  ):
    | { readonly changes: EarlyChange[]; readonly lastSeq: number; readonly ts: bigint }
    | undefined {
    const rows = this.#ofVersion.all(site, version) as unknown as Row[]
    const [first] = rows
    if (first === undefined) return undefined
    const changes = rows.map(([pk, cid, val, colVersion, cl, seq, , , table]) => {
      const numbers = { colVersion: Number(colVersion), cl: Number(cl), seq: Number(seq) }
      return { table, pk, cid, val, ...numbers }
    })
    return { changes, lastSeq: Number(first[6]), ts: BigInt.asUintN(64, first[7]) }
  }

  /** Takes out all that is kept, a version at a time: what still does not fit is to be kept again. */
  *takeAll(): Generator<{ readonly origin: RemoteVersion; readonly tables: TableChanges[] }> {
    for (const [site, version] of this.#versions.all() as unknown as [number, number][]) {
      const kept = this.of(site, version)
      if (kept === undefined) continue
      this.#delete.run(site, version)
      const tables = kept.changes.map(({ table, pk, ...column }) => {
        return { table, rows: [{ pk, columns: [column] }] }
      })
      yield { origin: { site, version, lastSeq: kept.lastSeq, ts: kept.ts }, tables }
    }
  }
}
