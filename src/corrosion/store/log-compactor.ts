import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { SqlValue } from '../changes/sql-value.ts'
import type { ReplicatedTable } from './replicated-table.ts'

/**
 * Forgets versions of which nothing is left. The log has a row for each row that a version wrote; once all of
 * that was overwritten the version is "empty", and its stretch of the log can go. Walks the versions again and
 * again, a bounded piece at a time.
 */
export class LogCompactor {
  readonly #tableOf: (id: number) => ReplicatedTable
  readonly #next: StatementSync
  readonly #entries: StatementSync
  readonly #deleteVersion: StatementSync
  readonly #deleteLog: StatementSync
  readonly #lastLog: StatementSync
  #site = -1
  #version = 0
  #first = 0

  constructor(database: DatabaseSync, tableOf: (id: number) => ReplicatedTable) {
    this.#tableOf = tableOf
    this.#next = database.prepare(
      `SELECT site, db_version, first, last FROM crsql_versions
       WHERE (site, db_version, first) > (?, ?, ?) ORDER BY site, db_version, first LIMIT 1`,
    )
    this.#next.setReturnArrays(true)
    this.#entries = database.prepare(`SELECT * FROM crsql_log WHERE id BETWEEN ? AND ? AND tbl > 0`)
    this.#entries.setReturnArrays(true)
    this.#entries.setReadBigInts(true)
    this.#deleteVersion = database.prepare(
      `DELETE FROM crsql_versions WHERE site = ? AND db_version = ? AND first = ?`,
    )
    this.#deleteLog = database.prepare(`DELETE FROM crsql_log WHERE id BETWEEN ? AND ?`)
    this.#lastLog = database.prepare(`SELECT max(id) AS id FROM crsql_log`)
  }

  /** Inside a transaction, with everything settled. @returns log rows dropped */
  run(entriesMax: number): number {
    // The newest row of the log stays: ids are handed out above it.
    const newest = (this.#lastLog.get()?.['id'] as number | null) ?? 0
    let dropped = 0
    for (let left = entriesMax; left > 0; ) {
      const row = this.#next.get(this.#site, this.#version, this.#first) as unknown as
        | [number, number, number, number]
        | undefined
      if (row === undefined) {
        this.#site = -1
        return dropped
      }
      const [site, version, first, last] = row
      ;[this.#site, this.#version, this.#first] = [site, version, first]
      left -= last - first + 1
      if (last >= newest || this.#isAlive(site, version, first, last)) continue
      this.#deleteVersion.run(site, version, first)
      dropped += Number(this.#deleteLog.run(first, last).changes)
    }
    return dropped
  }

  /** Something that the version wrote still stands. */
  #isAlive(site: number, version: number, first: number, last: number): boolean {
    for (const row of this.#entries.iterate(first, last) as Iterable<unknown>) {
      const [, tableId, , ...keys] = row as [bigint, bigint, SqlValue, ...SqlValue[]]
      const table = this.#tableOf(Number(tableId))
      const clock = table.clockOf(keys.slice(0, table.keyWidth))
      if (clock !== undefined && !clock.writtenBy(site, version).next().done) return true
    }
    return false
  }
}
