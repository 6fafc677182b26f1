import { addressAt, overlaps, parsePrefix } from './addressing.ts'
import { PlanetError } from './errors.ts'
import { cableDelayUs } from './geography.ts'
import type { Client, Region, Topology } from './topology.ts'

/** The kernel's IFNAMSIZ, less the closing NUL byte. */
const INTERFACE_NAME_CHARS_MAX = 15
const PLANET_NAME_CHARS_MAX = 16
/** A /24 holds 128 pairs of addresses, one pair a link from the router to a host or client. */
const ATTACHED_NODES_MAX = 128
/** Below this a delay is lost in the noise of scheduling, and the link is a plain veth pair. */
export const DELAY_US_MIN = 500

const HOSTS_IPV4 = '198.18.0.0/16'
const BACKBONE_IPV4 = '198.19.0.0/16'
const BACKBONE_IPV6 = '2001:db8:ffff::/48'
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

/** An anycast prefix, and the name of the static protocol that announces it on each host. */
export interface AnycastPrefix {
  readonly prefix: string
  readonly protocol: string
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
  const problems = new Problems()
  checkNames(topology, problems)
  checkLinks(topology, problems)
  checkPrefixes(topology, problems)
  problems.throwIfAny()
  const attached = attachAll(name, topology)
  const backbone = (topology.links ?? []).map((_, index) => planBackbone(topology, index))
  return {
    name,
    holdSeconds: topology.bgp_hold_s ?? BGP_HOLD_SECONDS,
    anycast: (topology.anycast?.prefixes ?? []).map((prefix, index) => ({
      prefix: parsePrefix(prefix).cidr,
      protocol: `anycast${index}`,
    })),
    announcesAtBoot: topology.anycast?.announce ?? true,
    nodes: [
      ...topology.regions.map((region, index) => planRouter(name, region, index)),
      ...attached.map(({ node }) => node),
    ],
    links: [...backbone, ...attached.map(({ link }) => link)],
  }
}

/** Gathers what is wrong, so that the author mends it in one go. */
class Problems {
  readonly #found: string[] = []

  add(key: string, what: string): void {
    this.#found.push(`${key}: ${what}`)
  }

  throwIfAny(): void {
    if (this.#found.length === 0) return
    throw new PlanetError('planet.topology_bad', {
      what: `the topology cannot be built: ${this.#found.join('; ')}`,
      fix: 'mend the topology; nothing was created',
    })
  }
}

const hostNames = (region: Region) =>
  Array.from({ length: region.hosts ?? 0 }, (_, index) => `${region.code}-${index + 1}`)

function checkNames(topology: Topology, problems: Problems): void {
  const owner = new Map<string, string>()
  const claim = (name: string, key: string) => {
    if (name.length > INTERFACE_NAME_CHARS_MAX) {
      const limit = `an interface name holds ${INTERFACE_NAME_CHARS_MAX} characters`
      problems.add(key, `'${name}' is too long: ${limit}, it has ${name.length}`)
    }
    const other = owner.get(name)
    if (other === undefined) owner.set(name, key)
    else problems.add(key, `'${name}' is already the name of ${other}`)
  }
  const codes = new Set(topology.regions.map(({ code }) => code))
  const attached = new Map<string, number>()
  const attach = (region: string) => attached.set(region, (attached.get(region) ?? 0) + 1)
  topology.regions.forEach((region, index) => {
    claim(region.code, `regions[${index}].code`)
    for (const host of hostNames(region)) {
      claim(host, `regions[${index}].hosts`)
      attach(region.code)
    }
  })
  topology.clients?.forEach((client, index) => {
    claim(client.name, `clients[${index}].name`)
    checkClient(client, `clients[${index}]`, codes, problems)
    attach(client.region)
  })
  for (const [region, count] of attached) {
    if (count > ATTACHED_NODES_MAX) {
      problems.add('regions', `${region} has ${count} hosts and clients; ${ATTACHED_NODES_MAX} fit`)
    }
  }
}

function checkClient(
  client: Client,
  key: string,
  codes: ReadonlySet<string>,
  problems: Problems,
): void {
  if (!codes.has(client.region)) problems.add(`${key}.region`, unknownRegion(client.region, codes))
  if ((client.latitude === undefined) !== (client.longitude === undefined)) {
    problems.add(key, 'has only one of latitude and longitude')
  }
}

const unknownRegion = (code: string, codes: ReadonlySet<string>) =>
  `no region '${code}'; there are ${[...codes].join(', ')}`

function checkLinks(topology: Topology, problems: Problems): void {
  const codes = new Set(topology.regions.map(({ code }) => code))
  const linked = new Map<string, string>()
  topology.links?.forEach(({ between }, index) => {
    const key = `links[${index}].between`
    for (const code of between) {
      if (!codes.has(code)) problems.add(key, unknownRegion(code, codes))
    }
    if (between[0] === between[1]) problems.add(key, `links '${between[0]}' to itself`)
    const pair = [...between].sort().join('--')
    const other = linked.get(pair)
    if (other !== undefined) problems.add(key, `${between.join(' and ')} have a link, ${other}`)
    else linked.set(pair, key)
  })
}

function checkPrefixes(topology: Topology, problems: Problems): void {
  const claimed: { key: string; cidr: string }[] = [
    { key: "the planet's backbone", cidr: BACKBONE_IPV4 },
    { key: "the planet's backbone", cidr: BACKBONE_IPV6 },
  ]
  const claim = (key: string, text: string, version?: 4 | 6, length?: number) => {
    const parsed = tryPrefix(text)
    if (typeof parsed === 'string') return problems.add(key, parsed)
    if (version !== undefined && (parsed.version !== version || parsed.length !== length)) {
      return problems.add(key, `'${text}' is not an IPv${version} /${length}`)
    }
    const other = claimed.find(({ cidr }) => overlaps(cidr, parsed.cidr))
    if (other !== undefined) problems.add(key, `${text} overlaps ${other.cidr} of ${other.key}`)
    claimed.push({ key, cidr: parsed.cidr })
  }
  topology.regions.forEach((region, index) => {
    const { ipv4, ipv6 } = regionPrefixes(region, index)
    claim(`regions[${index}].ipv4`, ipv4, 4, 24)
    claim(`regions[${index}].ipv6`, ipv6, 6, 48)
  })
  topology.anycast?.prefixes.forEach((prefix, index) => {
    claim(`anycast.prefixes[${index}]`, prefix)
  })
}

function tryPrefix(text: string): ReturnType<typeof parsePrefix> | string {
  try {
    return parsePrefix(text)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function regionPrefixes(region: Region, index: number): { ipv4: string; ipv6: string } {
  return {
    ipv4: region.ipv4 ?? `${addressAt(HOSTS_IPV4, index * 256)}/24`,
    ipv6: region.ipv6 ?? `2001:db8:${(0x1000 + index).toString(16)}::/48`,
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
