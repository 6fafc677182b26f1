/** What the operator says of this host's BGP sessions, and BIRD's configuration that follows from it. */
import { isIP, isIPv4 } from 'node:net'
import { type Static, Type } from 'typebox'
import type { BfdTimers, BirdRouter } from '#bird'
import { Net6Error } from '../errors.ts'
import { type AnycastPrefix, originatedPrefixes } from './anycast-prefixes.ts'

const closed = { additionalProperties: false }
/** Milliseconds. Below 10 a busy host would lose sessions of its own accord. */
const interval = Type.Integer({ minimum: 10, maximum: 60_000, default: 300 })

const bfdSchema = Type.Object(
  {
    min_rx_ms: interval,
    min_tx_ms: interval,
    multiplier: Type.Integer({ minimum: 2, maximum: 255, default: 3 }),
  },
  closed,
)

const asn = Type.Integer({ minimum: 1, maximum: 4_294_967_294 })

/** `[anycast.bgp]` of net.toml and `[edge.anycast.bgp]` of a host's file. */
export const bgpSchema = Type.Object(
  {
    /** BIRD's configuration file, which is written whole. */
    config: Type.String({ pattern: '^/[^"\\s]+$', default: '/etc/bird/bird.conf' }),
    /** Dotted quad, of this host alone. */
    router_id: Type.String(),
    asn,
    hold_s: Type.Integer({ minimum: 3, maximum: 65_535, default: 90 }),
    neighbours: Type.Array(
      Type.Object(
        {
          address: Type.String(),
          /** Of this host, in the neighbour's subnet. */
          local: Type.String(),
          asn,
          /** Absent: the hold time alone finds out that the neighbour is gone. */
          bfd: Type.Optional(bfdSchema),
        },
        closed,
      ),
      { minItems: 1 },
    ),
  },
  closed,
)

export type BgpConfig = Static<typeof bgpSchema>

/** Neighbours are told the host's anycast prefixes and nothing else; nothing is taken from them. @throws Net6Error net6.address_bad */
export function routerOf(bgp: BgpConfig, prefixes: readonly AnycastPrefix[]): BirdRouter {
  if (!isIPv4(bgp.router_id)) throw bad('no dotted quad', { router_id: bgp.router_id })
  return {
    routerId: bgp.router_id,
    asn: bgp.asn,
    holdSeconds: bgp.hold_s,
    isForwarding: false,
    originates: originatedPrefixes(prefixes),
    neighbours: bgp.neighbours.map(({ address, local, asn, bfd }, at) => {
      if (isIP(address) === 0 || isIP(local) !== isIP(address)) {
        throw bad('no two addresses of one family', { address, local })
      }
      return {
        protocol: `neighbour_${at}`,
        localAddress: local,
        address,
        asn,
        imports: [],
        exports: 'originated',
        cost: 0,
        ...(bfd === undefined ? {} : { bfd: timersOf(bfd) }),
      }
    }),
  }
}

const timersOf = ({ min_rx_ms, min_tx_ms, multiplier }: Static<typeof bfdSchema>): BfdTimers => ({
  minRxMs: min_rx_ms,
  minTxMs: min_tx_ms,
  multiplier,
})

const bad = (what: string, values: Record<string, string>): Net6Error =>
  new Net6Error('net6.address_bad', { what, values, fix: 'see [anycast.bgp] in docs/network.md' })
