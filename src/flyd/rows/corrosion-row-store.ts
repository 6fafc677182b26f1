import { type ApiClient, asObject } from '#corrosion'
import { type Cell, hostColumn } from './row.ts'
import type { RowStore } from './row-store.ts'

/** The replica by the API of the corrosion agent of this host. */
export function corrosionRowStore(client: ApiClient, hostId: string): RowStore {
  return {
    async ownRows(table, columns, signal) {
      const rows: Readonly<Record<string, Cell>>[] = []
      const sql = `SELECT ${columns.join(', ')} FROM ${table} WHERE ${hostColumn(table)} = ?`
      for await (const event of client.query(sql, [hostId], { signal })) {
        if (event.kind === 'row') {
          rows.push(asObject(event.columns, event.cells) as Readonly<Record<string, Cell>>)
        }
      }
      return rows
    },
    async write(statements, signal) {
      await client.transaction(
        statements.map(({ sql, values }) => [sql, values]),
        { signal },
      )
    },
  }
}
