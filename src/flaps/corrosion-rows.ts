import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import {
  type HostStatus,
  type MachineConfigJson,
  type MachineJson,
  timeText,
  type VolumeJson,
} from '#flyd'
import { gossipAddressOf } from '#net6'
import { isGone } from './machine-names.ts'
import type {
  CertificateRow,
  GatewayRow,
  HostRow,
  LinkRow,
  MachineFilter,
  MachineRow,
  Page,
  RegionRow,
  Rows,
  VolumeRow,
} from './rows.ts'
import type { Whereabouts } from './whereabouts.ts'

export interface CorrosionRowsOptions {
  /** A replica with the platform's schema. Only read. */
  readonly database: DatabaseSync
  /** What membership says of a host that has a row. @default ok */
  readonly hostStatus?: (hostId: string, gossipIp: string | undefined) => HostStatus
}

type Row = Readonly<Record<string, unknown>>

/** The rows of the corrosion replica on this host, as the API shows them. */
export function corrosionRows({ database, hostStatus = () => 'ok' }: CorrosionRowsOptions): Rows {
  const statements = new Map<string, ReturnType<DatabaseSync['prepare']>>()
  const all = (sql: string, ...values: SQLInputValue[]): Row[] => {
    const statement = statements.get(sql) ?? database.prepare(sql)
    statements.set(sql, statement) // as many as there are texts in this file
    return statement.all(...values) as Row[]
  }
  const statusOf = (hostId: string): HostStatus => {
    const [host] = all('SELECT mesh_endpoint, backhaul_ip FROM hosts WHERE id = ?', hostId)
    if (host === undefined) return 'unreachable'
    const endpoint = text(host, 'mesh_endpoint')
    const at = { mesh_endpoint: endpoint, backhaul_ip: text(host, 'backhaul_ip') }
    return hostStatus(hostId, gossipAddressOf(at))
  }
  const machineOf = (row: Row): MachineRow => {
    const id = text(row, 'id')
    const checks = all('SELECT * FROM checks WHERE machine_id = ? ORDER BY name', id).map(checkJson)
    return machineRow(row, checks, statusOf(text(row, 'host_id')))
  }
  const volumeOf = (row: Row) => volumeRow(row, statusOf(text(row, 'host_id')))
  const whereabouts = (row: Row | undefined): Whereabouts | undefined =>
    row && { id: text(row, 'id'), appId: text(row, 'app_id'), hostId: text(row, 'host_id') }

  return {
    whereIsMachine: (id) => whereabouts(all('SELECT * FROM machines WHERE id = ?', id)[0]),
    whereIsVolume: (id) => whereabouts(all('SELECT * FROM volumes WHERE id = ?', id)[0]),
    machine: (id) => all('SELECT * FROM machines WHERE id = ?', id).map(machineOf)[0],
    machines: (filter) =>
      all('SELECT * FROM machines WHERE app_id = ? ORDER BY created_at, id', filter.appId)
        .filter((row) => fits(row, filter))
        .map(machineOf),
    machinesSince: (orgId, page) =>
      all(`SELECT * FROM machines WHERE org_id = ? AND ${AFTER}`, orgId, ...after(page)).map(
        machineOf,
      ),
    volumes: (appId) =>
      all('SELECT * FROM volumes WHERE app_id = ? ORDER BY created_at, id', appId).map(
        (row) => volumeOf(row).json,
      ),
    volume: (id) =>
      all('SELECT * FROM volumes WHERE id = ?', id).map((row) => volumeOf(row).json)[0],
    volumesSince: (appIds, page) =>
      all(
        `SELECT * FROM volumes WHERE app_id IN (SELECT value FROM json_each(?)) AND ${AFTER}`,
        JSON.stringify(appIds),
        ...after(page),
      ).map(volumeOf),
    certificates: (hostname) =>
      all('SELECT * FROM certs WHERE hostname = ? ORDER BY not_before DESC', hostname).map(
        certificateRow,
      ),
    regions: () => all(REGIONS).map(regionRow),
    hosts: () => all(HOSTS).map(hostRow),
    wireguardGateways: () =>
      all('SELECT * FROM wireguard_gateways ORDER BY host_id')
        .map((row) => gatewayRow(row, statusOf(text(row, 'host_id')) === 'ok'))
        .sort((a, b) => Number(b.isHeard) - Number(a.isHeard)),
    wireguardLinks: () =>
      new Map(
        all('SELECT * FROM wireguard_links ORDER BY handshake_at').map((row) => [
          text(row, 'public_key'),
          linkRow(row),
        ]),
      ),
    backhaulIpOf: (id) =>
      all('SELECT backhaul_ip FROM hosts WHERE id = ?', id).map((row) =>
        text(row, 'backhaul_ip'),
      )[0],
  }
}

const AFTER = '(updated_at, id) > (?, ?) ORDER BY updated_at, id LIMIT ?'
const after = ({ afterMs, afterId, limit }: Page): SQLInputValue[] => [afterMs, afterId, limit]

/** Of what hosts say of one region, the newest. SQLite takes the other columns from the row of max(). */
const REGIONS = `
  SELECT name, display_name, latitude, longitude, max(updated_at) FROM regions GROUP BY name ORDER BY name`

const HOSTS = `
  SELECT *, (SELECT sum(memory_mb) FROM machines WHERE host_id = hosts.id AND state NOT IN ('destroyed', 'migrated')) AS used_mb
  FROM hosts ORDER BY id`

function fits(row: Row, filter: MachineFilter): boolean {
  const { includeDeleted = false, region, states, metadata = {} } = filter
  const state = text(row, 'state')
  if (isGone(state) && !includeDeleted && !states?.includes(state)) return false
  if (region !== undefined && region !== text(row, 'region')) return false
  if (states !== undefined && states.length > 0 && !states.includes(state)) return false
  const has = json<Record<string, unknown>>(row, 'metadata', {})
  return Object.entries(metadata).every(
    ([key, value]) => Object.hasOwn(has, key) && has[key] === value,
  )
}

function machineRow(row: Row, checks: readonly unknown[], status: HostStatus): MachineRow {
  const instanceId = text(row, 'instance_id')
  const metadata = json<Record<string, string>>(row, 'metadata', {})
  const config = { ...json<MachineConfigJson>(row, 'config', {}), metadata }
  const shown: MachineJson = {
    id: text(row, 'id'),
    name: text(row, 'name'),
    state: text(row, 'state'),
    region: text(row, 'region'),
    image_ref: json(row, 'image_ref', {}),
    instance_id: instanceId,
    version: instanceId,
    private_ip: text(row, 'private_ip'),
    created_at: timeText(number(row, 'created_at')),
    updated_at: timeText(number(row, 'updated_at')),
    ...(status === 'ok'
      ? { config: { init: {}, dns: {}, ...config } }
      : { incomplete_config: config }),
    events: json<readonly unknown[]>(row, 'events', []),
    checks,
    host_status: status,
    cordoned: number(row, 'is_cordoned') === 1,
  }
  return {
    id: shown.id,
    appId: text(row, 'app_id'),
    orgId: text(row, 'org_id'),
    hostId: text(row, 'host_id'),
    updatedAtMs: number(row, 'updated_at'),
    json: shown,
  }
}

const checkJson = (row: Row) => ({
  name: text(row, 'name'),
  status: text(row, 'status'),
  output: text(row, 'output'),
  updated_at: timeText(number(row, 'updated_at')),
})

function volumeRow(row: Row, status: HostStatus): VolumeRow {
  const shown: VolumeJson = {
    id: text(row, 'id'),
    name: text(row, 'name'),
    state: text(row, 'state'),
    size_gb: number(row, 'size_gb'),
    region: text(row, 'region'),
    zone: text(row, 'host_id'),
    encrypted: number(row, 'is_encrypted') === 1,
    attached_machine_id: text(row, 'machine_id') || null,
    attached_alloc_id: null,
    created_at: timeText(number(row, 'created_at')),
    host_status: status,
  }
  return {
    id: shown.id,
    appId: text(row, 'app_id'),
    hostId: text(row, 'host_id'),
    updatedAtMs: number(row, 'updated_at'),
    json: shown,
  }
}

const certificateRow = (row: Row): CertificateRow => ({
  source: text(row, 'source'),
  chain: text(row, 'chain_pem'),
  notBeforeMs: number(row, 'not_before'),
  notAfterMs: number(row, 'not_after'),
  updatedAtMs: number(row, 'updated_at'),
})

const regionRow = (row: Row): RegionRow => ({
  code: text(row, 'name'),
  name: text(row, 'display_name'),
  latitude: number(row, 'latitude'),
  longitude: number(row, 'longitude'),
})

const hostRow = (row: Row): HostRow => ({
  id: text(row, 'id'),
  region: text(row, 'region'),
  state: text(row, 'state'),
  backhaulIp: text(row, 'backhaul_ip'),
  isGateway: number(row, 'is_gateway') === 1,
  memoryMb: number(row, 'memory_mb'),
  usedMemoryMb: number(row, 'used_mb'),
})

const gatewayRow = (row: Row, isHeard: boolean): GatewayRow => ({
  hostId: text(row, 'host_id'),
  region: text(row, 'region'),
  publicKey: text(row, 'public_key'),
  endpoint: text(row, 'endpoint'),
  addressField: number(row, 'address_field'),
  isHeard,
})

const linkRow = (row: Row): LinkRow => ({
  endpoint: text(row, 'endpoint'),
  handshakeAtMs: number(row, 'handshake_at'),
  receivedBytes: number(row, 'received_bytes'),
  sentBytes: number(row, 'sent_bytes'),
})

const text = (row: Row, column: string): string => String(row[column] ?? '')
const number = (row: Row, column: string): number => Number(row[column] ?? 0)

/** What a host wrote that is no JSON reads as nothing: one bad row must not hide all others. */
function json<T>(row: Row, column: string, otherwise: T): T {
  try {
    const value: unknown = JSON.parse(text(row, column))
    return typeof value === typeof otherwise && value !== null ? (value as T) : otherwise
  } catch (error) {
    if (error instanceof SyntaxError) return otherwise
    throw error
  }
}
