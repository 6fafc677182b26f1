import { overlapCidr, parseCidr } from 'cidr-tools'
import { stringifyIp } from 'ip-bigint'
import type { Region } from './topology.ts'

const HOSTS_IPV4 = '198.18.0.0/16'
/** Links between routers. */
export const BACKBONE_IPV4 = '198.19.0.0/16'
export const BACKBONE_IPV6 = '2001:db8:ffff::/48'

/** Unicast prefixes of the region at `index` of the topology, unless it names its own. */
export function regionPrefixes(region: Region, index: number): { ipv4: string; ipv6: string } {
  return {
    ipv4: region.ipv4 ?? `${addressAt(HOSTS_IPV4, index * 256)}/24`,
    ipv6: region.ipv6 ?? `2001:db8:${(0x1000 + index).toString(16)}::/48`,
  }
}

/** A network in normal form. */
export interface Prefix {
  /** `203.0.113.0/24`, `2001:db8:a::/48` */
  readonly cidr: string
  readonly version: 4 | 6
  readonly length: number
}

/** @throws Error whose message says what a prefix looks like or which bits are too many. */
export function parsePrefix(text: string): Prefix {
  let parsed: ReturnType<typeof parseCidr>
  try {
    parsed = parseCidr(text)
  } catch {
    throw new Error(`'${text}' is not a prefix like 203.0.113.0/24 or 2001:db8:a::/48`)
  }
  if (!parsed.prefixPresent) throw new Error(`'${text}' lacks its length, as in ${text}/24`)
  const { version, start } = parsed
  const network = stringifyIp({ number: start, version })
  if (network !== stringifyIp({ number: parseCidr(`${parsed.ip}`).start, version })) {
    throw new Error(`'${text}' has bits set behind its length; its network is ${parsed.cidr}`)
  }
  return { cidr: `${network}/${parsed.prefix}`, version, length: Number(parsed.prefix) }
}

/** True when some address is in both networks. Networks of different families never overlap. */
export const overlaps = (one: string, other: string): boolean => overlapCidr(one, other)

/** The address at `offset` from the start of a network. */
export function addressAt(cidr: string, offset: number | bigint): string {
  const { start, version } = parseCidr(cidr)
  return stringifyIp({ number: start + BigInt(offset), version })
}
