import type { Accounts } from '#accounts'

/** A row as text, by table and key; the cells in the order of `APP_TABLES`. */
export type AppRows = ReadonlyMap<string, AppRow>

export interface AppRow {
  readonly table: keyof typeof APP_TABLES
  readonly key: readonly string[]
  readonly cells: readonly (string | number)[]
}

/** What gateways say of apps, their addresses and policies, and people's devices: docs/platform-schema.md. `host_id` is whoever wrote the row. */
export const APP_TABLES = {
  apps: {
    key: ['id'],
    cells: ['name', 'org_id', 'org_slug', 'network_id', 'status', 'created_at'],
  },
  ips: {
    key: ['address', 'app_id'],
    cells: ['kind', 'region', 'network_id', 'created_at'],
  },
  network_policies: {
    key: ['id'],
    cells: ['app_id', 'name', 'selector', 'rules', 'created_at', 'updated_at'],
  },
  wireguard_peers: {
    key: ['public_key'],
    cells: ['gateway', 'org_id', 'network_id', 'name', 'region', 'peer_ip', 'created_at'],
  },
} as const

/** Addresses that connections come to; egress ones are none. */
const SERVED_KINDS: readonly string[] = ['v4', 'v6', 'shared_v4', 'private_v6']

/** The rows that they are to have. */
export function wantedAppRows(accounts: Accounts): AppRows {
  const rows = new Map<string, AppRow>()
  const add = (row: AppRow) => rows.set(keyOf(row), row)
  for (const { id: orgId, slug } of accounts.organizations()) {
    for (const peer of accounts.wireguardPeers(slug)) {
      const { gateway, networkId, name, region, peerIp, createdAtMs } = peer
      const cells = [gateway, String(orgId), networkId, name, region, peerIp, createdAtMs]
      add({ table: 'wireguard_peers', key: [peer.publicKey], cells })
    }
    for (const { id, name, networkId, createdAtMs } of accounts.apps(slug)) {
      const cells = [name, String(orgId), slug, networkId, 'deployed', createdAtMs]
      add({ table: 'apps', key: [String(id)], cells })
      for (const { selector, rules, ...policy } of accounts.networkPolicies(name)) {
        const content = [policy.name, JSON.stringify(selector), JSON.stringify(rules)]
        const cells = [String(id), ...content, policy.createdAtMs, policy.updatedAtMs]
        add({ table: 'network_policies', key: [policy.id], cells })
      }
      for (const address of accounts.addresses(name)) {
        const { ip, kind, region } = address
        if (!SERVED_KINDS.includes(kind)) continue
        const network = kind === 'private_v6' ? networkId : 0
        const own = [kind, region, network, address.createdAtMs]
        add({ table: 'ips', key: [ip, String(id)], cells: own })
      }
    }
  }
  return rows
}

export const keyOf = ({ table, key }: Pick<AppRow, 'table' | 'key'>): string =>
  [table, ...key].join(' ')

export type Statement = readonly [
  sql: string,
  values: readonly (string | number | null | Uint8Array)[],
]

export function putStatement({ table, key, cells }: AppRow, hostId: string): Statement {
  const { key: keyColumns, cells: others } = APP_TABLES[table]
  const columns = [...keyColumns, ...others, 'host_id']
  const values = [...key, ...cells, hostId]
  const marks = values.map(() => '?').join(', ')
  const sets = [...others, 'host_id'].map((column) => `${column} = excluded.${column}`)
  const insert = `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${marks})`
  return [
    `${insert} ON CONFLICT (${keyColumns.join(', ')}) DO UPDATE SET ${sets.join(', ')}`,
    values,
  ]
}

export function deleteStatement({ table, key }: Pick<AppRow, 'table' | 'key'>): Statement {
  const where = APP_TABLES[table].key.map((column) => `${column} = ?`).join(' AND ')
  return [`DELETE FROM ${table} WHERE ${where}`, key]
}
