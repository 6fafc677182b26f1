import { type ApiClient, asObject } from '#corrosion'
import { gossipAddressOf } from '#net6'
import type { ClusterHost, StandbyWatchOptions, WatchedRow } from './standby-watch.ts'

type Row = Readonly<Record<string, unknown>>

/** What standbys need to know of other hosts, from the agent of this one. */
export function clusterRows(
  client: ApiClient,
  isPresent: (gossipIp: string) => boolean | undefined,
): Pick<StandbyWatchOptions, 'rowsOf' | 'hosts'> {
  const all = async (sql: string, values: readonly string[], signal: AbortSignal) => {
    const rows: Row[] = []
    for await (const event of client.query(sql, [...values], { signal })) {
      if (event.kind === 'row') rows.push(asObject(event.columns, event.cells) as Row)
    }
    return rows
  }
  return {
    async rowsOf(ids, signal) {
      const sql =
        'SELECT id, host_id, state FROM machines WHERE id IN (SELECT value FROM json_each(?))'
      const rows = await all(sql, [JSON.stringify(ids)], signal)
      return rows.map((row): WatchedRow => {
        return {
          id: String(row['id']),
          hostId: String(row['host_id']),
          state: String(row['state']),
        }
      })
    },
    async hosts(signal) {
      const rows = await all('SELECT id, mesh_endpoint, backhaul_ip FROM hosts', [], signal)
      return rows.map((row): ClusterHost => {
        const endpoint = String(row['mesh_endpoint'])
        const at = { mesh_endpoint: endpoint, backhaul_ip: String(row['backhaul_ip']) }
        const address = gossipAddressOf(at)
        return {
          id: String(row['id']),
          isPresent: address === undefined ? undefined : isPresent(address),
        }
      })
    },
  }
}
