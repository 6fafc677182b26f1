/** A cell as SQLite and JSON both have it. */
export type Cell = string | number | null

/** The tables of which flyd writes rows, with their keys. Source: #corrosion, platform-schema.ts. */
export const ROW_KEYS = {
  hosts: ['id'],
  regions: ['name', 'host_id'],
  machines: ['id'],
  services: ['machine_id', 'protocol', 'internal_port'],
  checks: ['machine_id', 'name'],
  volumes: ['id'],
} as const
export type RowTable = keyof typeof ROW_KEYS

/** The other columns that flyd writes. Those that it does not name belong to other parts of this host. */
// biome-ignore format: lists
export const ROW_COLUMNS = {
  hosts: ['region', 'state', 'version', 'backhaul_ip', 'is_gateway', 'is_edge', 'arch', 'cpus', 'memory_mb', 'disk_gb', 'started_at', 'updated_at'],
  regions: ['display_name', 'latitude', 'longitude', 'updated_at'],
  machines: [
    'host_id', 'app_id', 'org_id', 'network_id', 'name', 'region', 'state', 'instance_id', 'process_group', 'image_ref', 'config',
    'events', 'private_ip', 'private_ipv4', 'is_cordoned', 'cpu_kind', 'cpus', 'memory_mb', 'standby_for', 'metadata', 'created_at', 'updated_at',
  ],
  services: ['host_id', 'app_id', 'ports', 'concurrency_type', 'soft_limit', 'hard_limit', 'autostop', 'autostart', 'min_machines_running'],
  checks: ['host_id', 'app_id', 'status', 'is_service', 'output', 'updated_at'],
  volumes: ['host_id', 'app_id', 'name', 'region', 'state', 'size_gb', 'is_encrypted', 'machine_id', 'created_at', 'updated_at'],
} as const satisfies Readonly<Record<RowTable, readonly string[]>>

/** One row of a table of the platform's schema, as this host wants it. */
export type Row = { readonly [T in RowTable]: RowOf<T> }[RowTable]

interface RowOf<T extends RowTable> {
  readonly table: T
  /** The values of the table's key, in order. */
  readonly key: readonly Cell[]
  readonly cells: Readonly<Record<(typeof ROW_COLUMNS)[T][number], Cell>>
}

export interface Statement {
  readonly sql: string
  readonly values: readonly Cell[]
}

/** Where a row is among all. */
export const rowId = ({ table, key }: Pick<Row, 'table' | 'key'>): string =>
  `${table} ${JSON.stringify(key)}`

/** What of a row decides whether it must be written: equal texts are equal rows. */
export const rowText = (table: RowTable, cells: Readonly<Record<string, Cell>>): string =>
  JSON.stringify(ROW_COLUMNS[table].map((name) => cells[name] ?? null))

/** Makes the row be as it is wanted; columns that others of this host write stay. */
export function writeRow({ table, key, cells }: Row): Statement {
  const keys: readonly string[] = ROW_KEYS[table]
  const columns: readonly string[] = ROW_COLUMNS[table]
  const names = [...keys, ...columns]
  const marks = names.map(() => '?').join(', ')
  const changes = columns.map((name) => `${name} = excluded.${name}`).join(', ')
  return {
    sql: `INSERT INTO ${table} (${names.join(', ')}) VALUES (${marks}) ON CONFLICT (${keys.join(', ')}) DO UPDATE SET ${changes}`,
    values: [...key, ...columns.map((name) => (cells as Record<string, Cell>)[name] ?? null)],
  }
}

/** Only ever a row of this host. */
export function deleteRow(table: RowTable, key: readonly Cell[], hostId: string): Statement {
  const where = [...ROW_KEYS[table], hostColumn(table)].map((name) => `${name} = ?`).join(' AND ')
  return { sql: `DELETE FROM ${table} WHERE ${where}`, values: [...key, hostId] }
}

/** The column that says whose a row is. */
export const hostColumn = (table: RowTable) => (table === 'hosts' ? 'id' : 'host_id')
