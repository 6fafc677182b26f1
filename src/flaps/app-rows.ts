import type { Accounts, App } from '#accounts'

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

export interface WantedAppRows {
  readonly rows: AppRows
  /** Ids of apps whose own cannot be read: what stands of them is to stay. */
  readonly broken: ReadonlySet<string>
}

/** The rows that they are to have. @param onBroken an app that cannot be read; the others go on */
export function wantedAppRows(
  accounts: Accounts,
  onBroken: (app: string, error: unknown) => void,
): WantedAppRows {
  const rows = new Map<string, AppRow>()
  const broken = new Set<string>()
  const add = (row: AppRow) => rows.set(keyOf(row), row)
  for (const { id: orgId, slug } of accounts.organizations()) {
    for (const peer of accounts.wireguardPeers(slug)) {
      const { gateway, networkId, name, region, peerIp, createdAtMs } = peer
      const cells = [gateway, String(orgId), networkId, name, region, peerIp, createdAtMs]
      add({ table: 'wireguard_peers', key: [peer.publicKey], cells })
    }
    for (const app of accounts.apps(slug)) {
      try {
        for (const row of rowsOfApp(accounts, app)) add(row)
      } catch (error) {
        broken.add(String(app.id))
        onBroken(app.name, error)
      }
    }
  }
  return { rows, broken }
}

function rowsOfApp(accounts: Accounts, app: App): AppRow[] {
  const { name, organization, networkId, createdAtMs } = app
  const id = String(app.id)
  const cells = [
    name,
    String(organization.id),
    organization.slug,
    networkId,
    'deployed',
    createdAtMs,
  ]
  const policies = accounts.networkPolicies(name).map((policy): AppRow => {
    const content = [policy.name, JSON.stringify(policy.selector), JSON.stringify(policy.rules)]
    const own = [id, ...content, policy.createdAtMs, policy.updatedAtMs]
    return { table: 'network_policies', key: [policy.id], cells: own }
  })
  const served = accounts.addresses(name).filter(({ kind }) => SERVED_KINDS.includes(kind))
  const addresses = served.map((address): AppRow => {
    const network = address.kind === 'private_v6' ? networkId : 0
    const own = [address.kind, address.region, network, address.createdAtMs]
    return { table: 'ips', key: [address.ip, id], cells: own }
  })
  return [{ table: 'apps', key: [id], cells }, ...policies, ...addresses]
}

/** Whose row it is. Undefined: of no app. */
export function appOfRow({ table, key, cells }: AppRow): string | undefined {
  switch (table) {
    case 'apps':
      return key[0]
    case 'ips':
      return key[1]
    case 'network_policies':
      return String(cells[0])
    case 'wireguard_peers':
      return undefined
  }
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
