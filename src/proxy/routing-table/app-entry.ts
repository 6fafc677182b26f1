import type { MachineEntry } from './machine-entry.ts'
import { number, type PlatformRow, text } from './platform-rows.ts'
import { PortRoute } from './port-route.ts'
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
