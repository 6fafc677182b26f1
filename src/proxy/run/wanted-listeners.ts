import type { RoutingTable } from '../routing-table/routing-table.ts'

export interface ListenAddress {
  readonly address: string
  readonly port: number
}

/** Sockets that one edge opens at most for each protocol: what goes beyond is left out, and told. */
export const LISTENERS_MAX = 20_000

export interface WantedOptions {
  readonly isEdge: boolean
  readonly protocol: 'tcp' | 'udp'
}

/**
 * Where a host listens: on each address of an app, on each port that a machine of the app exposes. UDP is served at
 * addresses that are one app's own, and IPv4. A host that is no edge listens on private ones alone, for its own machines,
 * and for TCP. No I/O.
 * @returns by `address port`, in the order of the addresses; at most LISTENERS_MAX
 */
export function wantedListeners(
  table: RoutingTable,
  { isEdge, protocol }: WantedOptions,
): Map<string, ListenAddress> {
  const wanted = new Map<string, ListenAddress>()
  const portsOf = new Map<string, ReadonlySet<number>>()
  for (const { address, kind, appIds } of table.addresses()) {
    if (!isEdge && kind !== 'private_v6') continue
    if (protocol === 'udp' && kind !== 'v4') continue
    for (const id of appIds) {
      const ports = portsOf.get(id) ?? exposedPorts(table, id, protocol)
      portsOf.set(id, ports)
      for (const port of ports) {
        if (wanted.size >= LISTENERS_MAX) return wanted
        wanted.set(`${address} ${port}`, { address, port })
      }
    }
  }
  return wanted
}

function exposedPorts(
  table: RoutingTable,
  appId: string,
  protocol: WantedOptions['protocol'],
): Set<number> {
  const ports = new Set<number>()
  for (const { services } of table.app(appId)?.machines ?? []) {
    for (const service of services) {
      if (service.protocol !== protocol) continue
      for (const { startPort, endPort } of service.ports) {
        for (let port = startPort; port <= endPort && ports.size < LISTENERS_MAX; port += 1) {
          ports.add(port)
        }
      }
    }
  }
  return ports
}
