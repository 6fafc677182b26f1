import type { Clock, Log, Random } from '#base'
import { type Following, followQueries, type JsonCells } from '#corrosion'
import {
  PLATFORM_TABLES,
  type PlatformRow,
  rowOf,
  selectOf,
  TABLE_NAMES,
  type TableName,
} from './platform-rows.ts'
import type { RoutingTable } from './routing-table.ts'

export interface FollowTableOptions {
  /** Of the agent's HTTP API on this host, as `http://127.0.0.1:8080`. */
  readonly url: string
  readonly bearerToken?: string | undefined
  readonly table: RoutingTable
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/**
 * Keeps a table as corrosion's rows are, until it is disposed. While the agent is away the table stays as it was; what
 * it had from its last stop and is there no more goes with the first complete snapshot.
 */
export function followCorrosion(options: FollowTableOptions): Following {
  const { table, clock, bearerToken, url, random, log } = options
  const queries = TABLE_NAMES.map((name) => ({
    sql: selectOf(name),
    keyColumns: PLATFORM_TABLES[name].key.length,
    known: table.rows(name).keys(),
    onRow: (key: string, cells: JsonCells | undefined) =>
      apply(table, name, key, cells, clock.monotonicMs()),
  }))
  const access = bearerToken === undefined ? {} : { bearerToken }
  return followQueries({ url, ...access, queries, clock, random, log })
}

/** @param nowMs monotonic */
function apply(
  table: RoutingTable,
  name: TableName,
  key: string,
  cells: JsonCells | undefined,
  nowMs: number,
): void {
  const known = table.rows(name).get(key)
  if (cells === undefined) {
    if (known !== undefined) table.remove(name, known)
    return
  }
  const row = rowOf(name, cells)
  // A snapshot mostly repeats what is known: that disturbs no route.
  if (known === undefined || !isEqual(known, row)) table.put(name, row, nowMs)
}

function isEqual(a: PlatformRow, b: PlatformRow): boolean {
  for (const column in b) {
    const [one, other] = [a[column], b[column]]
    if (one === other) continue
    if (typeof one !== 'object' || typeof other !== 'object') return false
    if (JSON.stringify(one) !== JSON.stringify(other)) return false
  }
  return true
}
