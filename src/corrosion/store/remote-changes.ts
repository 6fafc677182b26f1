import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { deserialize, serialize } from 'node:v8'
import { type ActorId, actorIdBytes } from '../changes/actor-id.ts'
import type { FullChangeset, RowChanges, TableChanges } from '../changes/changeset.ts'
import { unpackKey } from '../changes/packed-key.ts'
import type { SqlValue } from '../changes/sql-value.ts'
import { CorrosionError } from '../errors.ts'
import type { EarlyChanges } from './early-changes.ts'
import type { TouchedRow } from './local-versions.ts'
import { ordinalOf, RowMerge } from './merge-row.ts'
import type { RemoteVersion } from './remote-version.ts'
import type { ReplicatedTable } from './replicated-table.ts'
import type { Stamp } from './row-clock.ts'
import type { Sites } from './sites.ts'

/** Writes what other actors' versions did into the tables. Triggers must be off. */
export class RemoteChanges {
  readonly #tables: ReadonlyMap<string, ReplicatedTable>
  readonly #sites: Sites
  readonly #early: EarlyChanges
  readonly #lastLog: StatementSync
  readonly #insertVersion: StatementSync
  readonly #insertBuffered: StatementSync
  readonly #selectBuffered: StatementSync
  readonly #deleteBuffered: StatementSync

  constructor(
    database: DatabaseSync,
    tables: ReadonlyMap<string, ReplicatedTable>,
    sites: Sites,
    early: EarlyChanges,
  ) {
    this.#early = early
    this.#tables = tables
    this.#sites = sites
    this.#lastLog = database.prepare(`SELECT coalesce(max(id), 0) AS id FROM crsql_log`)
    this.#insertVersion = database.prepare(`INSERT INTO crsql_versions VALUES (?, ?, ?, ?, ?, ?)`)
    this.#insertBuffered = database.prepare(
      `INSERT OR REPLACE INTO __corro_buffered_changes VALUES (?, ?, ?, ?, ?, ?, ?)`,
    )
    this.#selectBuffered = database.prepare(
      `SELECT changes FROM __corro_buffered_changes WHERE site_id = ? AND db_version = ? ORDER BY start_seq`,
    )
    this.#deleteBuffered = database.prepare(
      `DELETE FROM __corro_buffered_changes WHERE site_id = ? AND db_version = ?`,
    )
  }

  /**
   * Merges a version; appends what it changed to `touched`.
   * @throws CorrosionError corrosion.change_unfit, and what SQLite says of a constraint
   */
  merge(version: RemoteVersion, tables: readonly TableChanges[], touched: TouchedRow[]): void {
    const first = this.#lastLogId() + 1
    const before = touched.length
    this.#mergeTables(version, tables, touched)
    if (touched.length > before) this.#note(version, first)
  }

  buffer({ actor, version, seqs, lastSeq, ts, tables }: FullChangeset): void {
    const site = actorIdBytes(actor)
    const signed = BigInt.asIntN(64, ts)
    this.#insertBuffered.run(
      site,
      version,
      seqs.start,
      seqs.end,
      lastSeq,
      signed,
      serialize(tables),
    )
  }

  /** Merges all parts of a version that is whole now, and forgets them. */
  mergeBuffered(actor: ActorId, version: RemoteVersion, touched: TouchedRow[]): void {
    const site = actorIdBytes(actor)
    const first = this.#lastLogId() + 1
    const before = touched.length
    for (const { changes } of this.#selectBuffered.iterate(site, version.version)) {
      this.#mergeTables(version, deserialize(changes as Uint8Array) as TableChanges[], touched)
    }
    this.forgetBuffered(actor, version.version)
    if (touched.length > before) this.#note(version, first)
  }

  forgetBuffered(actor: ActorId, version: number): void {
    this.#deleteBuffered.run(actorIdBytes(actor), version)
  }

  #mergeTables(
    version: RemoteVersion,
    tables: readonly TableChanges[],
    touched: TouchedRow[],
  ): void {
    for (const { table: name, rows } of tables) {
      const table = this.#tables.get(name)
      for (const row of rows) {
        if (table !== undefined) this.#mergeRow(version, table, row, touched)
        else for (const change of row.columns) this.#early.keep(version, name, row.pk, change)
      }
    }
  }

  #mergeRow(
    origin: RemoteVersion,
    table: ReplicatedTable,
    row: RowChanges,
    touched: TouchedRow[],
  ): void {
    const key = unpackKey(row.pk)
    if (key.length !== table.keyWidth || key.includes(null)) {
      throw unfit('a primary key does not fit its table', { table: table.name })
    }
    let current: SqlValue[] | undefined
    const merge = new RowMerge(table.clockOf(key), {
      valueOf: (ordinal) => {
        current ??= table.valuesOf(key) ?? []
        return current[ordinal] ?? null
      },
      compareSites: (a, b) => this.#sites.compare(a, b),
    })
    for (const change of row.columns) {
      const { cid, val, colVersion, seq, cl } = change
      const ordinal = ordinalOf(cid, table.ordinals)
      const stamp: Stamp = { site: origin.site, version: origin.version, seq }
      if (ordinal !== undefined) merge.add({ ordinal, val, colVersion, cl, stamp })
      else this.#early.keep(origin, table.name, row.pk, change)
    }
    this.#carryOut(table, key, merge, touched)
  }

  #carryOut(table: ReplicatedTable, key: SqlValue[], merge: RowMerge, touched: TouchedRow[]): void {
    const { kind, values, isClockChanged } = merge.effect
    if (!isClockChanged || merge.clock === undefined) return
    if (kind === 'delete' || kind === 'replace') table.deleteRow(key)
    if (kind === 'upsert' || kind === 'replace') table.upsertRow(key, values)
    table.storeClock(key, merge.clock)
    table.appendLog(key)
    touched.push({ table, key })
  }

  #note({ site, version, lastSeq, ts }: RemoteVersion, first: number): void {
    const signed = BigInt.asIntN(64, ts)
    this.#insertVersion.run(site, version, first, this.#lastLogId(), lastSeq, signed)
  }

  #lastLogId(): number {
    return this.#lastLog.get()?.['id'] as number
  }
}

function unfit(what: string, values: Readonly<Record<string, unknown>>): CorrosionError {
  return new CorrosionError('corrosion.change_unfit', {
    what,
    values,
    fix: 'apply the same schema files on all nodes',
  })
}
