/** Which prefixes a host may announce: the operator's own, and nothing else, whatever rows say. */
import { containsCidr, overlapCidr } from 'cidr-tools'
import type { OriginatedPrefix } from '#bird'
import { Net6Error } from '../errors.ts'

/** Neighbours take nothing longer from anybody. */
const BITS_MAX = { 4: 24, 6: 48 } as const
/** "I am about to go": others prefer any other way. Source: RFC 8326. */
export const GRACEFUL_SHUTDOWN = [65535, 0] as const
const DRAINING_PREFERENCE = 100

/** One prefix with its two protocols in BIRD: as usual, and while the host drains. */
export interface AnycastPrefix {
  readonly prefix: string
  readonly protocol: string
  readonly drainingProtocol: string
}

/**
 * @param prefixes what is to be announced
 * @param owned the operator's own, from the host's configuration and never from rows
 * @throws Net6Error net6.address_bad, net6.prefix_not_owned
 */
export function anycastPrefixes(
  prefixes: readonly string[],
  owned: readonly string[],
): AnycastPrefix[] {
  for (const prefix of prefixes) checkOwned(prefix, owned)
  const sorted = [...new Set(prefixes)].sort()
  return sorted.map((prefix, index) => ({
    prefix,
    protocol: `anycast_${index}`,
    drainingProtocol: `anycast_${index}_draining`,
  }))
}

function checkOwned(prefix: string, owned: readonly string[]): void {
  const [address = '', bits = ''] = prefix.split('/')
  const most = BITS_MAX[address.includes(':') ? 6 : 4]
  if (!/^\d{1,3}$/.test(bits) || Number(bits) > most) {
    throw new Net6Error('net6.address_bad', {
      what: `no prefix that others take: at most /${most}`,
      values: { prefix },
    })
  }
  if (owned.length > 0 && holds(owned, prefix)) return
  throw new Net6Error('net6.prefix_not_owned', {
    what: "refusing to announce a prefix that is not the operator's",
    values: { prefix, owned: owned.join(' ') },
    fix: 'add it to the prefixes in the configuration of the host, if it is yours',
  })
}

function holds(owned: readonly string[], prefix: string): boolean {
  try {
    return containsCidr([...owned], prefix)
  } catch (cause) {
    throw new Net6Error('net6.address_bad', {
      what: 'not a prefix',
      values: { prefix, owned: owned.join(' ') },
      cause,
    })
  }
}

/** Rows of `ips` whose address lies in no prefix of the operator's: nobody can reach them. */
export function strayAddresses(addresses: readonly string[], owned: readonly string[]): string[] {
  return addresses.filter((address) => owned.length === 0 || !overlapCidr([...owned], address))
}

/** For the configuration of BIRD: nothing is announced before the announcer says so. */
export function originatedPrefixes(prefixes: readonly AnycastPrefix[]): OriginatedPrefix[] {
  return prefixes.flatMap(({ prefix, protocol, drainingProtocol }) => [
    { protocol, prefix, isAnnounced: false },
    {
      protocol: drainingProtocol,
      prefix,
      isAnnounced: false,
      communities: [GRACEFUL_SHUTDOWN],
      preference: DRAINING_PREFERENCE,
    },
  ])
}
