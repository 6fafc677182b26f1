/**
 * What the proxy reads of the platform's tables (#corrosion, platform-schema.ts): which columns, and how a
 * row's cells become a record. Rows come from other hosts: a cell of the wrong type becomes its default, and
 * nothing here throws.
 */

/** A cell as JSON has it: blobs are arrays of bytes there. */
export type Cell = null | string | number | bigint | Uint8Array | readonly number[]

/** A row: cells by the names of `PLATFORM_TABLES`. */
export type PlatformRow = Readonly<Record<string, Cell>>

export interface PlatformTable {
  readonly key: readonly string[]
  /** Column names, each with the expression that selects it. */
  readonly columns: Readonly<Record<string, string>>
}

const plain = (...names: readonly string[]) => Object.fromEntries(names.map((name) => [name, name]))

/** In the order in which rows are best applied: what others refer to comes first. */
export const PLATFORM_TABLES = {
  regions: {
    key: ['name', 'host_id'],
    columns: plain('name', 'host_id', 'latitude', 'longitude', 'updated_at'),
  },
  hosts: { key: ['id'], columns: plain('id', 'region', 'state', 'backhaul_ip', 'is_edge') },
  host_links: {
    key: ['host_id', 'peer_id'],
    columns: plain('host_id', 'peer_id', 'rtt_us', 'updated_at'),
  },
  apps: {
    key: ['id'],
    columns: plain('id', 'name', 'org_id', 'network_id', 'status', 'created_at'),
  },
  ips: {
    key: ['address', 'app_id'],
    columns: plain('address', 'app_id', 'kind', 'region', 'network_id'),
  },
  certs: {
    key: ['hostname', 'host_id'],
    columns: plain(
      ...['hostname', 'host_id', 'app_id', 'source', 'chain_pem', 'sealed_key'],
      ...['not_before', 'not_after', 'renew_at', 'state', 'updated_at'],
    ),
  },
  custom_certs: {
    key: ['hostname'],
    columns: plain(
      ...['hostname', 'app_id', 'chain_pem', 'sealed_key', 'not_before', 'not_after', 'updated_at'],
    ),
  },
  acme_challenges: {
    key: ['hostname', 'token'],
    columns: plain('hostname', 'token', 'host_id', 'kind', 'answer', 'expires_at'),
  },
  machines: {
    key: ['id'],
    columns: {
      ...plain('id', 'host_id', 'app_id', 'region', 'state', 'instance_id', 'private_ip'),
      ...plain('private_ipv4', 'is_cordoned', 'load', 'standby_for', 'updated_at'),
      primary_region: `json_extract(config, '$.env.PRIMARY_REGION')`,
      statics: `json_extract(config, '$.statics')`,
    },
  },
  services: {
    key: ['machine_id', 'protocol', 'internal_port'],
    columns: plain(
      ...['machine_id', 'protocol', 'internal_port', 'app_id', 'ports', 'concurrency_type'],
      ...['soft_limit', 'hard_limit', 'autostop', 'autostart', 'min_machines_running'],
    ),
  },
  checks: {
    key: ['machine_id', 'name'],
    columns: plain('machine_id', 'name', 'status', 'is_service'),
  },
} as const satisfies Readonly<Record<string, PlatformTable>>

export type TableName = keyof typeof PLATFORM_TABLES
export const TABLE_NAMES = Object.keys(PLATFORM_TABLES) as TableName[]

/** The statement whose live result is the table's rows. */
export function selectOf(name: TableName): string {
  const columns = Object.entries(PLATFORM_TABLES[name].columns)
  const list = columns.map(([column, sql]) => (sql === column ? column : `${sql} AS ${column}`))
  return `SELECT ${list.join(', ')} FROM ${name}`
}

/** Cells in the order of `selectOf`. */
export function rowOf(name: TableName, cells: readonly Cell[]): PlatformRow {
  const columns = Object.keys(PLATFORM_TABLES[name].columns)
  return Object.fromEntries(columns.map((column, at) => [column, cells[at] ?? null]))
}

/** Text that only rows with the same primary key share. */
export function keyOf(name: TableName, row: PlatformRow): string {
  return PLATFORM_TABLES[name].key.map((column) => text(row, column)).join('\u0000')
}

export function text(row: PlatformRow, column: string): string {
  const cell = row[column]
  if (typeof cell === 'string') return cell
  return typeof cell === 'number' || typeof cell === 'bigint' ? String(cell) : ''
}

export function number(row: PlatformRow, column: string, absent = 0): number {
  const cell = row[column]
  const value = typeof cell === 'bigint' ? Number(cell) : cell
  return typeof value === 'number' && Number.isFinite(value) ? value : absent
}

/** JSON of a column; undefined for what is none. */
export function json(row: PlatformRow, column: string): unknown {
  const cell = row[column]
  if (typeof cell !== 'string') return undefined
  try {
    return JSON.parse(cell)
  } catch {
    return undefined // another host wrote it: the row counts, without this column
  }
}

export function bytes(row: PlatformRow, column: string): Uint8Array | undefined {
  const cell = row[column]
  if (cell instanceof Uint8Array) return cell
  return Array.isArray(cell) ? Uint8Array.from(cell as readonly number[]) : undefined
}
