import type { PlatformRow } from './platform-rows.ts'
import { RoutingTable } from './routing-table.ts'

/** A table with one host, `h1` in `ams`, that tests fill row by row. Times are 0 unless given. */
export class TableFixture {
  readonly table: RoutingTable
  nowMs = 1_000_000
  #updates = 0

  constructor(ownHostId = 'h1', ownAddresses: readonly string[] = []) {
    this.table = new RoutingTable({ ownHostId, appDomain: 'apps.test', ownAddresses })
    this.host(ownHostId, 'ams')
  }

  host(id: string, region: string, rttUs?: number): this {
    const own = this.table.topology.ownHostId
    this.table.put(
      'hosts',
      { id, region, state: 'ready', backhaul_ip: `10.0.0.${id.slice(1)}`, is_edge: 1 },
      this.nowMs,
    )
    if (rttUs !== undefined) {
      this.table.put(
        'host_links',
        { host_id: own, peer_id: id, rtt_us: rttUs, updated_at: 0 },
        this.nowMs,
      )
    }
    return this
  }

  app(name: string, more: PlatformRow = {}): this {
    const row = { id: name, name, org_id: 'org', network_id: 1, status: 'deployed', created_at: 0 }
    this.table.put('apps', { ...row, ...more }, this.nowMs)
    return this
  }

  ip(address: string, app: string, kind = 'v4', networkId = 0): this {
    const row = { address, app_id: app, kind, region: 'global', network_id: networkId }
    this.table.put('ips', row, this.nowMs)
    return this
  }

  cert(hostname: string, app: string, more: PlatformRow = {}): this {
    const row = { hostname, host_id: 'h1', app_id: app, state: 'active', updated_at: 1 }
    this.table.put('certs', { ...row, ...more }, this.nowMs)
    return this
  }

  /** A machine with one service on port 8080, exposed as 80 (http) and 443 (http, tls). */
  machine(id: string, app: string, host: string, more: MachineOptions = {}): this {
    this.#updates += 1
    const { service = {}, ports = HTTP_PORTS, ...columns } = more
    const row = {
      id,
      host_id: host,
      app_id: app,
      region: this.table.topology.host(host).region,
      state: 'started',
      instance_id: String(this.#updates).padStart(26, '0'),
      private_ip: 'fdaa::1',
      private_ipv4: '172.19.0.2',
      is_cordoned: 0,
      load: 0,
      standby_for: '[]',
      updated_at: this.#updates,
      ...columns,
    }
    this.table.put('machines', row as PlatformRow, this.nowMs)
    return this.service(id, app, ports, service)
  }

  service(machine: string, app: string, ports: unknown, more: PlatformRow = {}): this {
    const row = {
      machine_id: machine,
      protocol: 'tcp',
      internal_port: 8080,
      app_id: app,
      ports: JSON.stringify(ports),
      concurrency_type: 'connections',
      soft_limit: null,
      hard_limit: null,
      autostop: 'off',
      autostart: 1,
      min_machines_running: 0,
      ...more,
    }
    this.table.put('services', row, this.nowMs)
    return this
  }

  /** Changes columns of a machine's row. */
  change(id: string, columns: PlatformRow): this {
    const row = this.table.rows('machines').get(id)
    this.table.put('machines', { ...row, ...columns }, this.nowMs)
    return this
  }

  check(machine: string, status: string, isService = 1, name = 'servicecheck-00-http-8080'): this {
    const row = { machine_id: machine, name, status, is_service: isService }
    this.table.put('checks', row, this.nowMs)
    return this
  }
}

export interface MachineOptions {
  readonly state?: string
  readonly region?: string
  readonly is_cordoned?: number
  readonly load?: number
  readonly standby_for?: string
  readonly primary_region?: string
  readonly ports?: unknown
  readonly service?: PlatformRow
}

export const HTTP_PORTS = [
  { port: 80, handlers: ['http'], force_https: true },
  { port: 443, handlers: ['http', 'tls'] },
]
