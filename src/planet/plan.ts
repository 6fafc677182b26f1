import { anycastPrefixes } from '#net6'
import {
  addressAt,
  BACKBONE_IPV4,
  BACKBONE_IPV6,
  parsePrefix,
  regionPrefixes,
} from './addressing.ts'
import { checkTopology } from './check-topology.ts'
import { PlanetError } from './errors.ts'
import { cableDelayUs } from './geography.ts'
import { type Client, hostNames, type Region, type Topology } from './topology.ts'

const PLANET_NAME_CHARS_MAX = 16
/** Below this a delay is lost in the noise of scheduling, and the link is a plain veth pair. */
export const DELAY_US_MIN = 500

const PLATFORM_ASN = 64500
const REGION_ASN_BASE = 64601
const BGP_HOLD_SECONDS = 9

export type NodeKind = 'transit' | 'host' | 'client'

/** One namespace of the world: a region's router, a host, or a client city. */
export interface NodePlan {
  readonly name: string
  readonly kind: NodeKind
  readonly region: string
  /** Name of its network namespace. */
  readonly netns: string
  /** AS that it speaks BGP for; absent for clients, which do not. */
  readonly asn?: number
  /** Its own address, routed to it from anywhere in the world. */
  readonly ipv4: string
  readonly ipv6: string
  /** Unicast prefixes that the router of a region originates. Empty for others. */
  readonly prefixes: readonly string[]
}

/** One end of a link: addresses are of a /31 and a /64 that both ends share. */
export interface LinkEnd {
  readonly node: string
  readonly interface: string
  readonly ipv4: string
  readonly ipv6: string
}

export interface LinkPlan {
  readonly name: string
  readonly ends: readonly [LinkEnd, LinkEnd]
  /** How long light needs for the cable, one way: what the routers prefer short paths by. */
  readonly costUs: number
  /** How long frames are held, one way. 0: a plain veth pair. */
  readonly delayUs: number
}

/** An anycast prefix, and the static protocols that announce it on each host: as usual, and while the host drains. */
export interface AnycastPrefix {
  readonly prefix: string
  readonly protocol: string
  readonly drainingProtocol: string
}

/** Everything about a world that is known before anything is made. */
export interface WorldPlan {
  readonly name: string
  readonly holdSeconds: number
  readonly anycast: readonly AnycastPrefix[]
  readonly announcesAtBoot: boolean
  readonly nodes: readonly NodePlan[]
  readonly links: readonly LinkPlan[]
}

export const NETNS_PREFIX = 'godwit'

/** Namespace of a node. No part of the name holds a dot, so planets cannot be mistaken. */
export const netnsName = (planet: string, node: string) => `${NETNS_PREFIX}.${planet}.${node}`

/** @throws PlanetError planet.name_bad */
export function checkPlanetName(name: string): string {
  if (/^[a-z][a-z0-9-]*$/.test(name) && name.length <= PLANET_NAME_CHARS_MAX) return name
  throw new PlanetError('planet.name_bad', {
    what: 'not a planet name',
    values: { name },
    fix: `use a lower-case letter, then letters, digits and '-', at most ${PLANET_NAME_CHARS_MAX}`,
  })
}

/**
 * Lays out a world: names, addresses, links and their delays. Pure; the same topology gives the same
 * plan.
 *
 * @throws PlanetError planet.name_bad, or planet.topology_bad with every problem that was found, each
 *   with the key that has it.
 */
export function planWorld(name: string, topology: Topology): WorldPlan {
  checkPlanetName(name)
  checkTopology(topology)
  const attached = attachAll(name, topology)
  const backbone = (topology.links ?? []).map((_, index) => planBackbone(topology, index))
  return {
    name,
    holdSeconds: topology.bgp_hold_s ?? BGP_HOLD_SECONDS,
    anycast: planAnycast(topology),
    announcesAtBoot: topology.anycast?.announce ?? true,
    nodes: [
      ...topology.regions.map((region, index) => planRouter(name, region, index)),
      ...attached.map(({ node }) => node),
    ],
    links: [...backbone, ...attached.map(({ link }) => link)],
  }
}

function planRouter(planet: string, region: Region, index: number): NodePlan {
  const { ipv4, ipv6 } = regionPrefixes(region, index)
  return {
    name: region.code,
    kind: 'transit',
    region: region.code,
    netns: netnsName(planet, region.code),
    asn: region.asn ?? REGION_ASN_BASE + index,
    ipv4: addressAt(ipv4, 0),
    ipv6: addressAt(ipv6, 1),
    prefixes: [ipv4, ipv6],
  }
}

function planBackbone(topology: Topology, index: number): LinkPlan {
  const link = topology.links?.[index]
  const [a, b] = (link?.between ?? []).map((code) =>
    topology.regions.find((region) => region.code === code),
  )
  if (link === undefined || a === undefined || b === undefined) throw new Error('unchecked link')
  const ipv6 = `${addressAt(BACKBONE_IPV6, BigInt(index) << 64n)}/64`
  return {
    name: `${a.code}--${b.code}`,
    ends: [
      {
        node: a.code,
        interface: b.code,
        ipv4: addressAt(BACKBONE_IPV4, 2 * index),
        ipv6: addressAt(ipv6, 1),
      },
      {
        node: b.code,
        interface: a.code,
        ipv4: addressAt(BACKBONE_IPV4, 2 * index + 1),
        ipv6: addressAt(ipv6, 2),
      },
    ],
    ...timesOf(topology, link.delay_ms === undefined ? cableDelayUs(a, b) : link.delay_ms * 1000),
  }
}

function timesOf({ latency }: Topology, cableUs: number): Pick<LinkPlan, 'costUs' | 'delayUs'> {
  const costUs = Math.round(cableUs)
  return { costUs, delayUs: latency === false || costUs < DELAY_US_MIN ? 0 : costUs }
}

/** Every host and client, with the link to the router of its region. */
function attachAll(planet: string, topology: Topology): { node: NodePlan; link: LinkPlan }[] {
  const platformAsn = topology.platform_asn ?? PLATFORM_ASN
  return topology.regions.flatMap((region, regionIndex) => {
    const hosts = hostNames(region).map((name) => ({ name, kind: 'host' as const, cableUs: 0 }))
    const clients = (topology.clients ?? [])
      .filter((client) => client.region === region.code)
      .map((client) => ({
        name: client.name,
        kind: 'client' as const,
        cableUs: accessCableUs(client, region),
      }))
    const prefixes = regionPrefixes(region, regionIndex)
    return [...hosts, ...clients].map(({ name, kind, cableUs }, index) => {
      const ipv6 = `${addressAt(prefixes.ipv6, BigInt(index + 1) << 64n)}/64`
      const router: LinkEnd = {
        node: region.code,
        interface: name,
        ipv4: addressAt(prefixes.ipv4, 2 * index),
        ipv6: addressAt(ipv6, 1),
      }
      const own: LinkEnd = {
        node: name,
        interface: 'eth0',
        ipv4: addressAt(prefixes.ipv4, 2 * index + 1),
        ipv6: addressAt(ipv6, 2),
      }
      const node: NodePlan = {
        name,
        kind,
        region: region.code,
        netns: netnsName(planet, name),
        ...(kind === 'host' ? { asn: platformAsn } : {}),
        ipv4: own.ipv4,
        ipv6: own.ipv6,
        prefixes: [],
      }
      const times = timesOf(topology, cableUs)
      const link: LinkPlan = { name: `${region.code}--${name}`, ends: [router, own], ...times }
      return { node, link }
    })
  })
}

function accessCableUs({ latitude, longitude }: Client, region: Region): number {
  if (latitude === undefined || longitude === undefined) return 0
  return cableDelayUs({ latitude, longitude }, region)
}

/** Named as the network's daemon of a host names them. */
function planAnycast({ anycast }: Topology): readonly AnycastPrefix[] {
  const prefixes = (anycast?.prefixes ?? []).map((prefix) => parsePrefix(prefix).cidr)
  const named = new Map(anycastPrefixes(prefixes, prefixes).map((one) => [one.prefix, one]))
  return prefixes.flatMap((prefix) => named.get(prefix) ?? [])
}
