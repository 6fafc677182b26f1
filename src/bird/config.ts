import assert from 'node:assert/strict'

/** A prefix that the router originates through a static protocol of its own. */
export interface OriginatedPrefix {
  /** Name of the protocol: what `enable` and `disable` take. Letters, digits and `_`. */
  readonly protocol: string
  /** CIDR, IPv4 or IPv6. */
  readonly prefix: string
  /** False: known but withdrawn until somebody enables the protocol. */
  readonly isAnnounced: boolean
  /** Standard communities that it is told with (RFC 1997). @default none */
  readonly communities?: readonly (readonly [number, number])[]
  /** Among protocols that originate one prefix the highest wins. @default BIRD's own, 200 */
  readonly preference?: number
}

/**
 * Bidirectional forwarding detection (RFC 5880): packets so often that a silent neighbour is found out in the time of
 * `multiplier` of them, long before BGP's hold time. The slower end decides the pace of each direction.
 */
export interface BfdTimers {
  /** The least time between packets that this end can take, milliseconds. */
  readonly minRxMs: number
  /** The least time between packets that this end sends while the session is up, milliseconds. */
  readonly minTxMs: number
  /** Packets of this end that the neighbour must miss to count it as gone. */
  readonly multiplier: number
}

/** One eBGP session, over directly connected addresses. */
export interface BgpNeighbour {
  /** Name of the protocol. Letters, digits and `_`. */
  readonly protocol: string
  readonly localAddress: string
  readonly address: string
  readonly asn: number
  /** Prefixes accepted from this neighbour; `everything` for a peer that gives transit. */
  readonly imports: 'everything' | readonly string[]
  /** What is told to this neighbour. */
  readonly exports: 'everything' | 'originated' | 'nothing'
  /** The neighbour must speak it, too: until it does, nothing but the hold time finds it gone. @default none */
  readonly bfd?: BfdTimers
  /** Added to the MED of what this neighbour tells: the cost of the link to it. */
  readonly cost: number
}

/** Everything that the configuration of one BIRD daemon says. */
export interface BirdRouter {
  /** Dotted quad, unique in the world that the router lives in. */
  readonly routerId: string
  readonly asn: number
  /** BGP hold time, 3 or more; a third of it is the keepalive time (RFC 4271, section 10). */
  readonly holdSeconds: number
  /** True: best routes, several where equal, go to the kernel's table. */
  readonly isForwarding: boolean
  readonly originates: readonly OriginatedPrefix[]
  readonly neighbours: readonly BgpNeighbour[]
}

/**
 * The text of `bird.conf` (BIRD 2.0).
 *
 * Routes are chosen by AS path length (RFC 4271, section 9.1.2.2), then by the lowest MED, compared
 * also between neighbours of different AS. Every router adds the cost of the link to the MED and
 * passes it on, so among paths of equal length the one of least cost in sum wins.
 */
export function renderBirdConfig(router: BirdRouter): string {
  assert(router.holdSeconds >= 3, 'BIRD takes no hold time below 3 s')
  return [
    `router id ${router.routerId};`,
    'log stderr { warning, error, fatal, bug };',
    'protocol device { scan time 10; }',
    ...(router.isForwarding ? [kernel(4), kernel(6)] : []),
    ...(router.neighbours.some(({ bfd }) => bfd !== undefined) ? ['protocol bfd bfd1 {}'] : []),
    ...router.originates.map(originate),
    ...router.neighbours.map((neighbour) => session(router, neighbour)),
    '',
  ].join('\n')
}

const family = (address: string): 4 | 6 => (address.includes(':') ? 6 : 4)

function kernel(version: 4 | 6): string {
  return `protocol kernel kernel${version} {
  merge paths on limit 16;
  ipv${version} { import none; export where source = RTS_BGP; };
}`
}

function originate(one: OriginatedPrefix): string {
  const { protocol, prefix, isAnnounced } = one
  return `protocol static ${protocol} {${isAnnounced ? '' : '\n  disabled;'}
  ipv${family(prefix)}${originChannel(one)};
  route ${prefix} blackhole;
}`
}

function originChannel({ communities = [], preference }: OriginatedPrefix): string {
  const add = communities.map(([high, low]) => `bgp_community.add((${high},${low}));`)
  const lines = [
    ...(preference === undefined ? [] : [`preference ${preference};`]),
    ...(add.length === 0 ? [] : [`import filter { ${add.join(' ')} accept; };`]),
  ]
  return lines.length === 0 ? '' : ` { ${lines.join(' ')} }`
}

function session(router: BirdRouter, neighbour: BgpNeighbour): string {
  const version = family(neighbour.address)
  return `protocol bgp ${neighbour.protocol} {
  local ${neighbour.localAddress} as ${router.asn};
  neighbor ${neighbour.address} as ${neighbour.asn};
  hold time ${router.holdSeconds};
  keepalive time ${Math.floor(router.holdSeconds / 3)};
  connect delay time 1;
  connect retry time 2;
  error wait time 1, 8;
  med metric on;${detection(neighbour)}
  ipv${version} {
    import ${importFilter(neighbour, version)};
    export ${exportFilter(neighbour)};
  };
}`
}

function detection({ bfd }: BgpNeighbour): string {
  if (bfd === undefined) return ''
  const { minRxMs, minTxMs, multiplier } = bfd
  return `\n  bfd { min rx interval ${minRxMs} ms; min tx interval ${minTxMs} ms; multiplier ${multiplier}; };`
}

function importFilter({ imports, cost }: BgpNeighbour, version: 4 | 6): string {
  if (imports === 'everything') return `filter { ${YIELD} ${addCost(cost)} accept; }`
  const accepted = imports.filter((prefix) => family(prefix) === version)
  if (accepted.length === 0) return 'none'
  return `filter { if net !~ [ ${accepted.join(', ')} ] then reject; ${YIELD} ${addCost(cost)} accept; }`
}

/** Who is about to go is chosen when nobody else is there. Source: RFC 8326, GRACEFUL_SHUTDOWN. */
const YIELD = 'if (65535, 0) ~ bgp_community then bgp_local_pref = 0;'

/** A route without MED counts as 0 (RFC 4271, section 9.1.2.2 c). */
function addCost(cost: number): string {
  return `if !defined(bgp_med) then bgp_med = 0; bgp_med = bgp_med + ${cost};`
}

/** MED is not passed on to another AS unless the export filter itself sets it. */
function exportFilter({ exports }: BgpNeighbour): string {
  if (exports === 'nothing') return 'none'
  const which =
    exports === 'originated' ? 'source = RTS_STATIC' : 'source ~ [ RTS_STATIC, RTS_BGP ]'
  return `filter { if !(${which}) then reject; ${addCost(0)} accept; }`
}
