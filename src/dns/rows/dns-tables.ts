import type { JsonCell, JsonCells } from '#corrosion'
import type { RowChange, ServicePort, TableName, TableRows } from '../directory/rows.ts'

export interface DnsTable<Row> {
  /** The statement whose live result is the table; its key's columns first. */
  readonly sql: string
  readonly keyColumns: number
  readonly read: (cells: JsonCells) => Row
}

/**
 * What names need of the platform's tables (docs/platform-schema.md). Other hosts wrote the cells: one of the wrong
 * type becomes empty, and nothing here throws.
 */
export const DNS_TABLES: { readonly [Table in TableName]: DnsTable<TableRows[Table]> } = {
  apps: {
    sql: 'SELECT id, name, org_id, network_id FROM apps',
    keyColumns: 1,
    read: ([id, name, orgId, networkId]) => ({
      id: text(id),
      name: text(name),
      orgId: text(orgId),
      networkId: number(networkId),
    }),
  },
  machines: {
    sql:
      'SELECT id, app_id, org_id, network_id, host_id, region, state, process_group, private_ip, metadata, ' +
      'is_cordoned, ' +
      "json_extract(config, '$.dns.skip_registration') AS is_skipped FROM machines",
    keyColumns: 1,
    read: ([
      id,
      appId,
      orgId,
      networkId,
      hostId,
      region,
      state,
      group,
      ip,
      metadata,
      isCordoned,
      isSkipped,
    ]) => ({
      id: text(id),
      appId: text(appId),
      orgId: text(orgId),
      networkId: number(networkId),
      hostId: text(hostId),
      region: text(region),
      state: text(state),
      processGroup: text(group),
      privateIp: text(ip),
      metadata: textsByName(metadata),
      isRegistered: number(isSkipped) === 0,
      isCordoned: number(isCordoned) === 1,
    }),
  },
  services: {
    sql: 'SELECT machine_id, protocol, internal_port, ports FROM services',
    keyColumns: 3,
    read: ([machineId, protocol, internalPort, ports]) => ({
      machineId: text(machineId),
      protocol: text(protocol),
      internalPort: number(internalPort),
      ports: servicePorts(ports),
    }),
  },
  checks: {
    sql: 'SELECT machine_id, name, status, is_service FROM checks',
    keyColumns: 2,
    read: ([machineId, , status, isService]) => ({
      machineId: text(machineId),
      status: text(status),
      isOfService: number(isService) === 1,
    }),
  },
  ips: {
    sql: 'SELECT address, app_id, kind, network_id FROM ips',
    keyColumns: 2,
    read: ([address, appId, kind, networkId]) => ({
      address: text(address),
      appId: text(appId),
      kind: text(kind),
      networkId: number(networkId),
    }),
  },
  wireguard_peers: {
    sql: 'SELECT public_key, org_id, network_id, name, peer_ip FROM wireguard_peers',
    keyColumns: 1,
    read: ([publicKey, orgId, networkId, name, peerIp]) => ({
      publicKey: text(publicKey),
      orgId: text(orgId),
      networkId: number(networkId),
      name: text(name),
      peerIp: text(peerIp),
    }),
  },
  host_links: {
    sql: 'SELECT host_id, peer_id, rtt_us FROM host_links',
    keyColumns: 2,
    read: ([hostId, peerId, rttUs]) => ({
      hostId: text(hostId),
      peerId: text(peerId),
      rttUs: typeof rttUs === 'number' ? rttUs : undefined,
    }),
  },
  regions: {
    sql: 'SELECT name, host_id, latitude, longitude, updated_at FROM regions',
    keyColumns: 2,
    read: ([name, , latitude, longitude, updatedAt]) => ({
      name: text(name),
      latitude: number(latitude),
      longitude: number(longitude),
      updatedAt: number(updatedAt),
    }),
  },
  acme_challenges: {
    sql: 'SELECT hostname, token, kind, answer FROM acme_challenges',
    keyColumns: 2,
    read: ([hostname, token, kind, answer]) => ({
      hostname: text(hostname),
      token: text(token),
      kind: text(kind),
      answer: text(answer),
    }),
  },
}

export const DNS_TABLE_NAMES = Object.keys(DNS_TABLES) as TableName[]

/** What a row of the live result says. `cells` undefined: it is gone. */
export function changeOf(table: TableName, key: string, cells: JsonCells | undefined): RowChange {
  const row = cells && DNS_TABLES[table].read(cells)
  return { table, key, row } as RowChange // the table's own `read` made the row
}

const text = (cell: JsonCell | undefined): string =>
  typeof cell === 'string' ? cell : typeof cell === 'number' ? String(cell) : ''

const number = (cell: JsonCell | undefined): number => (typeof cell === 'number' ? cell : 0)

/** Of a JSON array, the members that name a port, or a range of them. */
function servicePorts(cell: JsonCell | undefined): ServicePort[] {
  const members = parsed(cell)
  if (!Array.isArray(members)) return []
  return members.flatMap((member: unknown) => {
    if (typeof member !== 'object' || member === null) return []
    const { port, start_port, end_port, handlers } = member as Record<string, unknown>
    const [first, last] = typeof port === 'number' ? [port, port] : [start_port, end_port]
    if (typeof first !== 'number' || typeof last !== 'number') return []
    const names = Array.isArray(handlers) ? handlers : []
    return [{ first, last, handlers: names.filter((name) => typeof name === 'string') }]
  })
}

/** Of a JSON object, the members that are texts. */
function textsByName(cell: JsonCell | undefined): Record<string, string> {
  const value = parsed(cell)
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : []
  return Object.fromEntries(entries.filter(([, held]) => typeof held === 'string'))
}

/** Undefined for what is no JSON: the row counts, without that cell. */
function parsed(cell: JsonCell | undefined): unknown {
  try {
    return JSON.parse(text(cell))
  } catch {
    return undefined
  }
}
