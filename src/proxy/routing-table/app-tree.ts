/**
 * An app, its machines, their services and the routes to them. They refer to each other, so that a request goes from
 * any to any without a lookup; what is known of a machine or a service by itself is in machine-facts.ts and
 * service-facts.ts.
 */
import { MachineFacts } from './machine-facts.ts'
import { number, type PlatformRow, text } from './platform-rows.ts'
import { type PortSpec, parsePortSpecs } from './port-spec.ts'
import { ServiceFacts } from './service-facts.ts'
import type { Topology } from './topology.ts'

/** An app and what it is made of. Its routes are made when first asked for, and again after a change. */
export class AppEntry {
  readonly id: string
  isKnown = false
  name = ''
  orgId = ''
  networkId = 0
  status = ''
  readonly machines = new Set<MachineEntry>()
  /** Grows with every change of anything below the app. */
  version = 0
  readonly #routes = new Map<number, PortRoute>()
  #routesVersion = -1

  constructor(id: string) {
    this.id = id
  }

  put(row: PlatformRow): void {
    this.isKnown = true
    this.name = text(row, 'name')
    this.orgId = text(row, 'org_id')
    this.networkId = number(row, 'network_id')
    this.status = text(row, 'status')
    this.version += 1
  }

  /** Undefined: no machine exposes the port. */
  route(protocol: 'tcp' | 'udp', port: number, topology: Topology): PortRoute | undefined {
    if (this.#routesVersion !== this.version) {
      this.#dropUnexposed()
      this.#routesVersion = this.version
    }
    const key = protocol === 'tcp' ? port : 65_536 + port
    const known = this.#routes.get(key)
    if (known !== undefined) {
      known.refresh(topology)
      return known
    }
    if (!this.#exposes(protocol, port)) return undefined // not kept: who scans ports fills no map
    const route = new PortRoute(this, protocol, port)
    route.refresh(topology)
    this.#routes.set(key, route)
    return route
  }

  #dropUnexposed(): void {
    for (const [key, route] of this.#routes) {
      if (!this.#exposes(route.protocol, route.port)) this.#routes.delete(key)
    }
  }

  #exposes(protocol: 'tcp' | 'udp', port: number): boolean {
    for (const machine of this.machines) {
      for (const service of machine.services) {
        if (service.protocol !== protocol) continue
        for (const { startPort, endPort } of service.ports) {
          if (startPort <= port && port <= endPort) return true
        }
      }
    }
    return false
  }
}

/** A machine, in its app. */
export class MachineEntry extends MachineFacts {
  /** Undefined: its row is not there. */
  app: AppEntry | undefined
  readonly services = new Set<ServiceEntry>()
}

/** A service, of its machine: what a connection is sent to. */
export class ServiceEntry extends ServiceFacts {
  readonly machine: MachineEntry

  constructor(machine: MachineEntry, protocol: 'tcp' | 'udp', internalPort: number) {
    super(protocol, internalPort)
    this.machine = machine
  }
}

/** An app's candidates for one port in one region. */
export interface RegionCandidates {
  readonly region: string
  /** To its nearest host. */
  readonly distanceUs: number
  /** Running and passing their checks: nearest band first; in a band all count as equally near. */
  readonly bands: readonly (readonly ServiceEntry[])[]
  /** Starting, or running and not passing or out of reach: not chosen, worth waiting for while they are young. */
  readonly warming: readonly ServiceEntry[]
  /** Stopped or suspended and startable by a request: in the order in which all proxies start them. */
  readonly startable: readonly ServiceEntry[]
  /** Stopping or being replaced: worth waiting for where nobody else is. */
  readonly changing: readonly ServiceEntry[]
}

const [NO_SPEC] = parsePortSpecs([{ port: 1 }]) as [PortSpec]

/**
 * Everything about a public port of an app that can be prepared before a connection comes. It is rebuilt only
 * when a row or a distance changed, so that a choice costs a look at a few candidates.
 */
export class PortRoute {
  readonly app: AppEntry
  readonly protocol: 'tcp' | 'udp'
  readonly port: number
  /** Of the newest configuration among the candidates: it is needed before a machine is chosen. */
  spec: PortSpec = NO_SPEC
  /** Nearest first, the own region always before others. */
  regions: readonly RegionCandidates[] = []
  /** Everyone that exposes the port, whatever its state, by machine id. */
  byMachine: ReadonlyMap<string, ServiceEntry> = new Map()
  #appVersion = -1
  #topologyVersion = -1

  constructor(app: AppEntry, protocol: 'tcp' | 'udp', port: number) {
    this.app = app
    this.protocol = protocol
    this.port = port
  }

  /** How often anything below changed; equal: nothing did. */
  get version(): number {
    return this.#appVersion + this.#topologyVersion
  }

  refresh(topology: Topology): void {
    if (this.#appVersion === this.app.version && this.#topologyVersion === topology.version) return
    this.#appVersion = this.app.version
    this.#topologyVersion = topology.version
    this.#rebuild(topology)
  }

  #rebuild(topology: Topology): void {
    const byMachine = new Map<string, ServiceEntry>()
    let newest = ''
    for (const machine of this.app.machines) {
      for (const service of machine.services) {
        const spec = this.#specOf(service)
        if (spec === undefined || byMachine.has(machine.id)) continue
        byMachine.set(machine.id, service)
        if (machine.instanceId < newest) continue
        newest = machine.instanceId
        this.spec = spec
      }
    }
    this.byMachine = byMachine
    const byRegion = Map.groupBy(byMachine.values(), ({ machine }) => machine.region)
    this.regions = [...byRegion]
      .map(([region, services]) => regionOf(region, services, topology))
      .sort((a, b) => a.distanceUs - b.distanceUs || (a.region < b.region ? -1 : 1))
  }

  #specOf(service: ServiceEntry): PortSpec | undefined {
    if (service.protocol !== this.protocol) return undefined
    return service.ports.find(
      ({ startPort, endPort }) => startPort <= this.port && this.port <= endPort,
    )
  }
}

function regionOf(
  region: string,
  services: readonly ServiceEntry[],
  topology: Topology,
): RegionCandidates {
  const bands = new Map<number, ServiceEntry[]>()
  const warming: ServiceEntry[] = []
  const startable: ServiceEntry[] = []
  const changing: ServiceEntry[] = []
  const bandOf = ({ machine }: ServiceEntry) =>
    machine.host === undefined ? 0 : topology.bandOf(machine.host)
  for (const service of services) {
    const { availability, isPassing, isOutOfReach } = service.machine
    if (availability === 'startable' && service.autostart) startable.push(service)
    else if (availability === 'changing' && service.autostart) changing.push(service)
    else if (availability === 'starting' || isOutOfReach) warming.push(service)
    else if (availability === 'running' && !isPassing) warming.push(service)
    else if (availability === 'running') {
      const band = bandOf(service)
      const already = bands.get(band)
      if (already === undefined) bands.set(band, [service])
      else already.push(service)
    }
  }
  return {
    region,
    distanceUs: topology.distanceUs(region),
    bands: [...bands].sort(([a], [b]) => a - b).map(([, members]) => members),
    warming,
    startable: startable.sort((a, b) => (a.machine.id < b.machine.id ? -1 : 1)),
    changing,
  }
}
