import {
  BACKBONE_IPV4,
  BACKBONE_IPV6,
  overlaps,
  parsePrefix,
  regionPrefixes,
} from './addressing.ts'
import { PlanetError } from './errors.ts'
import { type Client, hostNames, type Topology } from './topology.ts'

/** The kernel's IFNAMSIZ, less the closing NUL byte. */
const INTERFACE_NAME_CHARS_MAX = 15
/** A /24 holds 128 pairs of addresses, one pair a link from the router to a host or client. */
const ATTACHED_NODES_MAX = 128

/**
 * Checks what a schema cannot: that names fit and are told apart, that regions exist, that addresses
 * do not overlap.
 *
 * @throws PlanetError planet.topology_bad with every problem that was found, each with its key.
 */
export function checkTopology(topology: Topology): void {
  const problems = new Problems()
  checkNames(topology, problems)
  checkLinks(topology, problems)
  checkPrefixes(topology, problems)
  problems.throwIfAny()
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
