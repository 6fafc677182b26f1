import type { Log } from '#base'
import { followQueries } from '#corrosion'
import type { Directory } from '../directory/directory.ts'
import type { DnsRows } from '../directory/rows.ts'
import { changeOf, DNS_TABLE_NAMES, DNS_TABLES } from './dns-tables.ts'

export interface FollowRowsOptions {
  /** Of this host's corrosion agent, as `http://127.0.0.1:8080`. */
  readonly url: string
  readonly bearerToken?: string
  readonly directory: Directory
  readonly log: Log
}

/** Keeps `directory` as the agent's rows are until disposed. While the agent is away it stays as it was. */
export function followRows({ directory, ...agent }: FollowRowsOptions): DnsRows {
  const queries = DNS_TABLE_NAMES.map((table) => ({
    sql: DNS_TABLES[table].sql,
    keyColumns: DNS_TABLES[table].keyColumns,
    onRow: (key: string, cells: Parameters<typeof changeOf>[2]) =>
      directory.apply(changeOf(table, key, cells)),
  }))
  return followQueries({ ...agent, queries })
}
