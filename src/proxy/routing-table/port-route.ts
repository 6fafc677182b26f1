import type { AppEntry } from './app-entry.ts'
import type { PortSpec } from './port-spec.ts'
import { parsePortSpecs } from './port-spec.ts'
import type { ServiceEntry } from './service-entry.ts'
import type { Topology } from './topology.ts'

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
