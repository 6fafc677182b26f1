import type { RoutingTable } from '../routing-table/routing-table.ts'

export interface ListenAddress {
  readonly address: string
  readonly port: number
}

/** Sockets that one edge opens at most: what goes beyond is left out, and told. */
export const LISTENERS_MAX = 20_000

/**
 * Where a host listens: on each address of an app, on each TCP port that a machine of the app exposes. One that is no
 * edge listens on private ones alone, for its own machines. No I/O.
 * @returns by `address port`, in the order of the addresses; at most LISTENERS_MAX
 */
export function wantedListeners(
  table: RoutingTable,
  { isEdge }: { readonly isEdge: boolean },
): Map<string, ListenAddress> {
  const wanted = new Map<string, ListenAddress>()
  const portsOf = new Map<string, ReadonlySet<number>>()
  for (const { address, kind, appIds } of table.addresses()) {
    if (!isEdge && kind !== 'private_v6') continue
    for (const id of appIds) {
      const ports = portsOf.get(id) ?? exposedPorts(table, id)
      portsOf.set(id, ports)
      for (const port of ports) {
        if (wanted.size >= LISTENERS_MAX) return wanted
        wanted.set(`${address} ${port}`, { address, port })
      }
    }
  }
  return wanted
}

function exposedPorts(table: RoutingTable, appId: string): Set<number> {
  const ports = new Set<number>()
  for (const { services } of table.app(appId)?.machines ?? []) {
    for (const service of services) {
      if (service.protocol !== 'tcp') continue
      for (const { startPort, endPort } of service.ports) {
        for (let port = startPort; port <= endPort && ports.size < LISTENERS_MAX; port += 1) {
          ports.add(port)
        }
      }
    }
  }
  return ports
}
