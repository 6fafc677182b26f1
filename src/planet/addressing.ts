import { overlapCidr, parseCidr } from 'cidr-tools'
import { stringifyIp } from 'ip-bigint'

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
