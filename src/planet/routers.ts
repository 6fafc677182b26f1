import type { BgpNeighbour, BirdRouter } from '#bird'
import { originatedPrefixes } from '#net6'
import type { LinkEnd, LinkPlan, NodePlan, WorldPlan } from './plan.ts'

/**
 * What the BIRD of a node says; undefined for clients, which run none.
 *
 * A region's router gives transit to every other router and takes from a host nothing but the anycast
 * prefixes. Hosts learn nothing: they send everything to their region's router.
 */
export function routerOf(plan: WorldPlan, node: NodePlan): BirdRouter | undefined {
  if (node.asn === undefined) return undefined
  const isTransit = node.kind === 'transit'
  const originates = isTransit
    ? node.prefixes.map((prefix, index) => ({
        protocol: `region${index}`,
        prefix,
        isAnnounced: true,
      }))
    : originatedPrefixes(plan.anycast).map((one) => ({
        ...one,
        isAnnounced: one.communities === undefined && plan.announcesAtBoot,
      }))
  return {
    routerId: node.kind === 'transit' ? routerIdOf(plan, node) : node.ipv4,
    asn: node.asn,
    holdSeconds: plan.holdSeconds,
    isForwarding: isTransit,
    originates,
    neighbours: plan.links.flatMap((link) => sessionsOf(plan, node, link)),
  }
}

/** A router's first address may be a host's side too; one of 192.0.2.0/24 never is. */
function routerIdOf(plan: WorldPlan, node: NodePlan): string {
  const routers = plan.nodes.filter(({ kind }) => kind === 'transit')
  return `192.0.2.${routers.indexOf(node) + 1}`
}

/** The two sessions over a link, one for each address family; none when the other end is a client. */
function sessionsOf(plan: WorldPlan, node: NodePlan, link: LinkPlan): BgpNeighbour[] {
  const ends = endsOf(link, node.name)
  if (ends === undefined) return []
  const [own, other] = ends
  const peer = plan.nodes.find(({ name }) => name === other.node)
  if (peer?.asn === undefined) return []
  const { imports, exports } = policy(plan, node, peer)
  const name = peer.name.replaceAll('-', '_')
  const shared = { asn: peer.asn, imports, exports, cost: link.costUs }
  return [
    { protocol: `${name}_4`, localAddress: own.ipv4, address: other.ipv4, ...shared },
    { protocol: `${name}_6`, localAddress: own.ipv6, address: other.ipv6, ...shared },
  ]
}

function policy(
  plan: WorldPlan,
  node: NodePlan,
  peer: NodePlan,
): Pick<BgpNeighbour, 'imports' | 'exports'> {
  if (node.kind === 'host') return { imports: [], exports: 'originated' }
  if (peer.kind === 'transit') return { imports: 'everything', exports: 'everything' }
  return { imports: plan.anycast.map(({ prefix }) => prefix), exports: 'nothing' }
}

/** Own end first; undefined when the link does not touch the node. */
export function endsOf(link: LinkPlan, node: string): readonly [LinkEnd, LinkEnd] | undefined {
  const [a, b] = link.ends
  if (a.node === node) return [a, b]
  return b.node === node ? [b, a] : undefined
}
