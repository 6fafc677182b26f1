/**
 * Counts what hosts of a planet get from each other's public addresses: sealed by WireGuard, and TCP in clear. The API, whose
 * TLS hosts ask what to trust, is for the world, and neither.
 */

import { MESH_PORT } from '#net6'
import type { World } from '#planet'

const TABLE = 'backhaul_watch'
const API_PORT = 4280

export interface BackhaulSeen {
  /** Packets of WireGuard. */
  readonly sealed: number
  /** Packets of TCP from a public address of another host, but for those of its API. */
  readonly clear: number
}

export class BackhaulWatch {
  readonly #world: World
  readonly #hosts: readonly string[]

  private constructor(world: World, hosts: readonly string[]) {
    this.#world = world
    this.#hosts = hosts
  }

  static async begin(world: World, hosts: readonly string[]): Promise<BackhaulWatch> {
    for (const host of hosts) {
      const others = hosts.filter((one) => one !== host).map((one) => world.node(one).plan)
      const v4 = others.map(({ ipv4 }) => ipv4).join(', ')
      const v6 = others.map(({ ipv6 }) => ipv6).join(', ')
      const table = `table inet ${TABLE} {
        counter sealed { }
        counter clear { }
        chain in {
          type filter hook input priority -10; policy accept;
          udp dport { ${MESH_PORT}, ${MESH_PORT + 1} } counter name sealed
          tcp dport ${API_PORT} accept
          tcp sport ${API_PORT} accept
          ip saddr { ${v4} } meta l4proto tcp counter name clear
          ip6 saddr { ${v6} } meta l4proto tcp counter name clear
        }
      }`
      await world.node(host).run('sh', ['-ec', 'echo "$1" | nft -f -', 'sh', table])
    }
    return new BackhaulWatch(world, hosts)
  }

  /** Of all hosts together, since it began. */
  async seen(): Promise<BackhaulSeen> {
    const sums = { sealed: 0, clear: 0 }
    for (const host of this.#hosts) {
      const printed = await this.#world
        .node(host)
        .run('nft', ['-j', 'list', 'counters', 'table', 'inet', TABLE])
      const { nftables } = JSON.parse(printed) as {
        nftables: { counter?: { name: keyof BackhaulSeen; packets: number } }[]
      }
      for (const { counter } of nftables) if (counter) sums[counter.name] += counter.packets
    }
    return sums
  }
}

const EDGES = 'edges_watch'

/** @returns which hosts got UDP to a port from a node, since this was called */
export async function watchEdges(
  world: World,
  hosts: readonly string[],
  port: number,
): Promise<(node: string) => Promise<string[]>> {
  const table = `table inet ${EDGES} {
    set clients { type ipv4_addr; flags dynamic; size 1024; }
    chain in { type filter hook input priority -10; udp dport ${port} add @clients { ip saddr }; }
  }`
  for (const host of hosts) {
    await world.node(host).run('sh', ['-ec', 'echo "$1" | nft -f -', 'sh', table])
  }
  return async (node) => {
    const { ipv4 } = world.node(node).plan
    const words = ['-j', 'list', 'set', 'inet', EDGES, 'clients']
    const said = await Promise.all(hosts.map((host) => world.node(host).run('nft', words)))
    return hosts.filter((_, index) => said[index]?.includes(`"${ipv4}"`))
  }
}

const CUT = 'mesh_cut'

/** Between these two hosts WireGuard's packets are lost, and no others. */
export async function cutMesh(world: World, host: string, other: string): Promise<void> {
  const { ipv4 } = world.node(other).plan
  const ports = `{ ${MESH_PORT}, ${MESH_PORT + 1} }`
  const table = `table inet ${CUT} {
    chain in { type filter hook input priority -20; ip saddr ${ipv4} udp dport ${ports} drop; }
    chain out { type filter hook output priority -20; ip daddr ${ipv4} udp dport ${ports} drop; }
  }`
  await world.node(host).run('sh', ['-ec', 'echo "$1" | nft -f -', 'sh', table])
}

export async function healMesh(world: World, host: string): Promise<void> {
  await world.node(host).run('nft', ['delete', 'table', 'inet', CUT])
}
