/**
 * Addresses of the private network (6PN). Integers are big-endian.
 *   bits     field
 *   0-15     fdaa
 *   16-47    network: an organisation's, or one of its custom networks
 *   48-79    host: where the machine runs; its upper half is HOST_MARKER
 *   80-111   machine: unique on its host, unrelated to the machine's id
 *   112-127  low: the machine's own to use; 1 is its gateway, 2 the machine
 * Between hosts network and host change places, so that one /48 says which host a packet is for:
 * fdaa:HOST:NETWORK:MACHINE:LOW. The upper half of HOST is then HOST_MARKER plus the generation of the key
 * that it is sealed for. Networks whose upper half could be taken for such a marker are never given out, so
 * the two forms cannot be confused. The other end is native/bpf/packet.h.
 */
import { parseIp, stringifyIp } from 'ip-bigint'
import { Net6Error } from './errors.ts'

export const ULA = 0xfdaa
export const HOST_MARKER = 0x0a7b
/** A host has at most two keys at a time: the present one, and the one before or after it. */
export const GENERATION_COUNT = 2
export const MACHINE_LOW = 2
export const GATEWAY_LOW = 1
/** `machine` of the devices of people that a gateway joins to a network. Hosts draw larger ones for machines. */
export const PEER_MACHINE = 0x0a
/** A peer has the 256 addresses of its /120 and is known by this one: `fdaa:N:N:H:H:0:a:K02`. */
export const PEER_LOW = 2
export const PEERS_OF_NETWORK_MAX = 256
/** What machines find the resolver, the API and the log stream at. */
export const PLATFORM_ADDRESS = 'fdaa::3'
/** Where the host itself gets what was sent to `fdaa:N:N::3` of whatever network: native/bpf/platform.h. */
export const NETWORK_PLATFORM_ADDRESS = 'fdaa::4'
/** `host` of the addresses at which an app's proxy answers inside a network (flycast). */
export const FLYCAST_HOST = 1

const U32_MAX = 0xffff_ffff

/** Each field an unsigned integer: 32 bits but for `low`, which has 16. */
export interface SixPnAddress {
  readonly network: number
  readonly host: number
  readonly machine: number
  readonly low: number
}

/** The text that RFC 5952 recommends. @throws Net6Error net6.address_bad: a field is out of range */
export function formatSixPn(address: SixPnAddress): string {
  return stringifyIp({ number: sixPnNumber(address), version: 6 })
}

/** @throws Net6Error net6.address_bad: not IPv6, or not inside fdaa::/16 */
export function parseSixPn(text: string): SixPnAddress {
  const number = ipv6Number(text)
  if (number >> 112n !== BigInt(ULA)) throw bad('not a 6PN address', text)
  return {
    network: Number((number >> 80n) & 0xffff_ffffn),
    host: Number((number >> 48n) & 0xffff_ffffn),
    machine: Number((number >> 16n) & 0xffff_ffffn),
    low: Number(number & 0xffffn),
  }
}

/** Network and host change places: from the form inside machines to that on the mesh, and back. */
export function swapSixPn({ network, host, ...rest }: SixPnAddress): SixPnAddress {
  return { network: host, host: network, ...rest }
}

/** All addresses of a machine: its own /112. */
export const machinePrefix = (address: SixPnAddress): string =>
  `${formatSixPn({ ...address, low: 0 })}/112`

/** Of the peer `slot`, 0 to 255, of a network at a gateway. */
export const peerAddress = (network: number, gateway: number, slot: number): string =>
  formatSixPn({ network, host: gateway, machine: PEER_MACHINE, low: slot * 0x100 + PEER_LOW })

/** `fdaa:N:N::3`: where the peers and machines of a network find the platform. */
export const networkPlatformAddress = (network: number): string =>
  formatSixPn({ network, host: 0, machine: 0, low: 3 })

/** All addresses of a network: a /48, the boundary that no packet crosses. */
export const networkPrefix = (network: number): string =>
  `${formatSixPn({ network, host: 0, machine: 0, low: 0 })}/48`

/** What WireGuard must know of a host: all its addresses as they are on the mesh, for one of its keys. */
export function meshPrefix(host: number, generation: number): string {
  const marked = (host & 0xffff) + (HOST_MARKER + generation) * 0x1_0000
  return `${formatSixPn({ network: marked, host: 0, machine: 0, low: 0 })}/48`
}

/** @throws Net6Error net6.address_bad */
export function parseMeshPrefix(text: string): { host: number; generation: number } {
  const [address = '', bits] = text.split('/')
  const { network, ...rest } = parseSixPn(address)
  const generation = (network >>> 16) - HOST_MARKER
  const isZero = rest.host === 0 && rest.machine === 0 && rest.low === 0
  if (bits !== '48' || !isZero || generation < 0 || generation >= GENERATION_COUNT) {
    throw bad("not a host's prefix on the mesh", text)
  }
  return { host: hostField(network & 0xffff), generation }
}

/** The field of the host whose number is `number`, 0 to 65535. */
export const hostField = (number: number): number => HOST_MARKER * 0x1_0000 + number

/** Of the backhaul addresses of all hosts. */
export const BACKHAUL_PREFIX = `fdaa:${HOST_MARKER.toString(16)}::/32`

/** Where the host itself is found by other hosts: what `hosts.backhaul_ip` holds. */
export const backhaulAddress = (host: number): string =>
  formatSixPn({ network: host, host: 0, machine: 0, low: 1 })

/** One of the addresses at which an app's proxy answers inside a network. @param number 1 to 65535 */
export const flycastAddress = (network: number, number: number): string =>
  formatSixPn({ network, host: FLYCAST_HOST, machine: 0, low: number })

/**
 * Network 0 is the platform's own, and a network whose upper half is a host marker could be taken for a host.
 *
 * @throws Net6Error net6.network_reserved, net6.address_bad
 */
export function checkNetworkId(network: number): number {
  if (!Number.isInteger(network) || network < 0 || network > U32_MAX) {
    throw bad('a network id has 32 bits', String(network))
  }
  const generation = (network >>> 16) - HOST_MARKER
  if (network === 0 || (generation >= 0 && generation < GENERATION_COUNT)) {
    throw new Net6Error('net6.network_reserved', {
      what: 'this network id is reserved',
      values: { network, reserved: `0, ${hex(HOST_MARKER)}0000 to ${hex(HOST_MARKER + 1)}ffff` },
      fix: 'draw another one',
    })
  }
  return network
}

/** The sixteen bytes. */
export function sixPnBytes(address: SixPnAddress): Buffer {
  return ipv6Bytes(formatSixPn(address))
}

/** The sixteen bytes of any IPv6 address. @throws Net6Error net6.address_bad */
export function ipv6Bytes(text: string): Buffer {
  return Buffer.from(ipv6Number(text).toString(16).padStart(32, '0'), 'hex')
}

function ipv6Number(text: string): bigint {
  try {
    const { number, version, scopeid } = parseIp(text)
    if (version === 6 && scopeid === undefined) return number
  } catch (cause) {
    throw bad('not an IPv6 address', text, cause)
  }
  throw bad('not an IPv6 address', text)
}

function sixPnNumber({ network, host, machine, low }: SixPnAddress): bigint {
  for (const field of [network, host, machine]) {
    if (!Number.isInteger(field) || field < 0 || field > U32_MAX) {
      throw bad('a field of a 6PN address has 32 bits', String(field))
    }
  }
  if (!Number.isInteger(low) || low < 0 || low > 0xffff) {
    throw bad('the last field of a 6PN address has 16 bits', String(low))
  }
  const fields = (BigInt(network) << 80n) | (BigInt(host) << 48n) | (BigInt(machine) << 16n)
  return (BigInt(ULA) << 112n) | fields | BigInt(low)
}

const hex = (number: number) => number.toString(16).padStart(4, '0')

function bad(what: string, address: string, cause?: unknown): Net6Error {
  return new Net6Error('net6.address_bad', { what, values: { address }, cause })
}
