import { ApiClient, asObject } from '#corrosion'
import { AGENT_URL } from './parts/corrosion-part.ts'

/** A host as its row in the cluster says it. */
export interface ClusterHost {
  readonly id: string
  readonly region: string
  /** joining, ready, cordoned or draining. */
  readonly state: string
  readonly version: string
  readonly backhaul_ip: string
  readonly is_gateway: boolean
  readonly is_edge: boolean
  readonly cpus: number
  readonly memory_mb: number
  readonly machines: number
  readonly started: number
  /** Of its machines together, whether they run or not. */
  readonly machines_memory_mb: number
}

export interface ClusterRegion {
  readonly code: string
  readonly name: string
  readonly hosts: number
  /** Hosts that take machines. */
  readonly ready: number
  readonly gateways: number
  readonly edges: number
  readonly machines: number
  readonly started: number
  /** Of the hosts that take machines. */
  readonly cpus: number
  readonly memory_mb: number
  readonly machines_memory_mb: number
}

const LIVE = "FROM machines WHERE host_id = hosts.id AND state NOT IN ('destroyed', 'migrated')"
const HOSTS_SQL =
  'SELECT id, region, state, version, backhaul_ip, is_gateway, is_edge, cpus, memory_mb, ' +
  `(SELECT count(*) ${LIVE}) AS machines, (SELECT count(*) ${LIVE} AND state = 'started') AS started, ` +
  `(SELECT ifnull(sum(memory_mb), 0) ${LIVE}) AS machines_memory_mb FROM hosts ORDER BY region, id`
const NAMES_SQL =
  'SELECT name, display_name, max(updated_at) FROM regions GROUP BY name ORDER BY name'

/** All hosts, as this host's agent knows them. @throws CorrosionError: the agent is away; the signal's reason */
export async function clusterHosts(signal: AbortSignal, url = AGENT_URL): Promise<ClusterHost[]> {
  return (await rowsOf(url, HOSTS_SQL, signal)).map((row) => ({
    ...(row as unknown as ClusterHost),
    is_gateway: row['is_gateway'] === 1,
    is_edge: row['is_edge'] === 1,
  }))
}

/** All regions that have hosts, as this host's agent knows them. @throws as `clusterHosts` */
export async function clusterRegions(
  signal: AbortSignal,
  url = AGENT_URL,
): Promise<ClusterRegion[]> {
  const hosts = await clusterHosts(signal, url)
  const named = await rowsOf(url, NAMES_SQL, signal)
  return regionsOf(hosts, new Map(named.map((row) => [`${row['name']}`, `${row['display_name']}`])))
}

/** Pure. @param names by code; a region of none is called by its code */
export function regionsOf(
  hosts: readonly ClusterHost[],
  names: ReadonlyMap<string, string>,
): ClusterRegion[] {
  return [...Map.groupBy(hosts, ({ region }) => region)].sort(byCode).map(([code, own]) => {
    const ready = own.filter(({ state }) => state === 'ready')
    return {
      ...{ code, name: names.get(code) || code, hosts: own.length, ready: ready.length },
      gateways: own.filter((host) => host.is_gateway).length,
      edges: own.filter((host) => host.is_edge).length,
      machines: sum(own, 'machines'),
      started: sum(own, 'started'),
      cpus: sum(ready, 'cpus'),
      memory_mb: sum(ready, 'memory_mb'),
      machines_memory_mb: sum(own, 'machines_memory_mb'),
    }
  })
}

const byCode = ([a]: [string, unknown], [b]: [string, unknown]) => (a < b ? -1 : 1)

const sum = (
  hosts: readonly ClusterHost[],
  field: 'machines' | 'started' | 'cpus' | 'memory_mb' | 'machines_memory_mb',
) => hosts.reduce((total, host) => total + host[field], 0)

async function rowsOf(url: string, sql: string, signal: AbortSignal) {
  const rows: Readonly<Record<string, unknown>>[] = []
  for await (const event of new ApiClient({ url }).query(sql, [], { signal })) {
    if (event.kind === 'row') rows.push({ ...asObject(event.columns, event.cells) })
  }
  return rows
}
