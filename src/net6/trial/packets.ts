/** Frames made by hand, wrong ones too. Each function puts a header before what it is given. */

import { ipv4Bytes, macBytes } from '../programs/wire-text.ts'
import { ipv6Bytes } from '../six-pn-address.ts'

export interface Ends {
  readonly from: string
  readonly to: string
}

export const ETHERNET = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd, vlan: 0x8100 } as const
export const NEXT = {
  hopByHop: 0,
  icmp4: 1,
  tcp: 6,
  udp: 17,
  routing: 43,
  fragment: 44,
  esp: 50,
  authentication: 51,
  icmp6: 58,
  none: 59,
  destinationOptions: 60,
  mobility: 135,
} as const

const u16 = (number: number) => Buffer.from([number >> 8, number & 0xff])

export const ethernet = ({ from, to }: Ends, type: number, payload: Buffer): Buffer =>
  Buffer.concat([macBytes(to), macBytes(from), u16(type), payload])

/** What follows an IP header: its number, and its bytes. */
export interface Part {
  readonly next: number
  readonly bytes: Buffer
}

export interface Ipv6Changes {
  readonly hopLimit?: number
  readonly version?: number
}

export function ipv6(
  { from, to }: Ends,
  { next, bytes }: Part,
  { hopLimit = 64, version = 6 }: Ipv6Changes = {},
): Buffer {
  const first = Buffer.from([version << 4, 0, 0, 0])
  const head = [first, u16(bytes.length), Buffer.from([next, hopLimit])]
  return checksummed(Buffer.concat([...head, ipv6Bytes(from), ipv6Bytes(to), bytes]), {
    next,
    at: 40,
    addresses: [ipv6Bytes(from), ipv6Bytes(to)],
    length: bytes.length,
  })
}

export interface Ipv4Changes {
  readonly headerWords?: number
  /** Flags and offset, as in the header. */
  readonly fragment?: number
}

export function ipv4(
  { from, to }: Ends,
  { next, bytes }: Part,
  { headerWords = 5, fragment = 0 }: Ipv4Changes = {},
): Buffer {
  const options = Buffer.alloc((headerWords - 5) * 4)
  const head = Buffer.concat([
    Buffer.from([0x40 | headerWords, 0]),
    u16(headerWords * 4 + bytes.length),
    Buffer.from([0, 1]),
    u16(fragment),
    Buffer.from([64, next, 0, 0]),
    ipv4Bytes(from),
    ipv4Bytes(to),
    options,
  ])
  head.writeUInt16BE(checksum([head]), 10)
  return Buffer.concat([head, bytes])
}

export const udp = (to: number, payload = Buffer.from('payload!')): Part => ({
  next: NEXT.udp,
  bytes: Buffer.concat([u16(40_000), u16(to), u16(8 + payload.length), u16(0), payload]),
})

export const TCP_SYN = 0x02
export const TCP_ACK = 0x10

export const tcp = (to: number, flags: number = TCP_SYN, from = 40_000): Part => ({
  next: NEXT.tcp,
  bytes: Buffer.concat([
    u16(from),
    u16(to),
    Buffer.alloc(8),
    Buffer.from([0x50, flags, 0xff, 0xff]),
    Buffer.alloc(4),
  ]),
})

export const icmp6 = (type: number, body: Buffer = Buffer.alloc(4)): Part => ({
  next: NEXT.icmp6,
  bytes: Buffer.concat([Buffer.from([type, 0, 0, 0]), body]),
})

export const icmp4 = (type: number): Part => ({
  next: NEXT.icmp4,
  bytes: Buffer.from([type, 0, 0, 0, 0, 0, 0, 0]),
})

/** A neighbour solicitation (135) or advertisement (136), with the link address option of its kind. */
export function neighbour(type: 135 | 136, target: string, mac?: string): Part {
  const option =
    mac === undefined
      ? Buffer.alloc(0)
      : Buffer.concat([Buffer.from([type === 135 ? 1 : 2, 1]), macBytes(mac)])
  return icmp6(type, Buffer.concat([Buffer.alloc(4), ipv6Bytes(target), option]))
}

/** Header of eight bytes before another part: hop-by-hop and destination options, routing. */
export const extension = (kind: number, { next, bytes }: Part): Part => ({
  next: kind,
  bytes: Buffer.concat([Buffer.from([next, 0, 1, 4, 0, 0, 0, 0]), bytes]),
})

export const fragment = (offset: number, isLast: boolean, { next, bytes }: Part): Part => ({
  next: NEXT.fragment,
  bytes: Buffer.concat([
    Buffer.from([next, 0]),
    u16((offset & 0xfff8) | (isLast ? 0 : 1)),
    Buffer.from([0, 0, 0, 9]),
    bytes,
  ]),
})

export interface ArpFields {
  readonly operation?: number
  readonly senderMac: string
  readonly senderIp: string
  readonly targetIp: string
}

export const arp = ({ operation = 1, senderMac, senderIp, targetIp }: ArpFields): Buffer =>
  Buffer.concat([
    Buffer.from([0, 1, 8, 0, 6, 4]),
    u16(operation),
    macBytes(senderMac),
    ipv4Bytes(senderIp),
    Buffer.alloc(6),
    ipv4Bytes(targetIp),
  ])

/** RFC 1071. */
export function checksum(parts: readonly Buffer[]): number {
  const bytes = Buffer.concat([...parts, Buffer.alloc(1)])
  let sum = 0
  for (let at = 0; at + 1 < bytes.length; at += 2) sum += bytes.readUInt16BE(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

const CHECKSUM_OFFSETS: Readonly<Record<number, number>> = { 6: 16, 17: 6, 58: 2 }

/** Sets the checksum of TCP, UDP and ICMPv6 right behind an IPv6 header. */
function checksummed(
  packet: Buffer,
  what: { next: number; at: number; addresses: readonly Buffer[]; length: number },
): Buffer {
  const offset = CHECKSUM_OFFSETS[what.next]
  if (offset === undefined || packet.length < what.at + offset + 2) return packet
  packet.writeUInt16BE(sumOf(packet, what.at, what.next), what.at + offset)
  return packet
}

function sumOf(packet: Buffer, at: number, next: number): number {
  const body = packet.subarray(at)
  const length = Buffer.from([0, 0, body.length >> 8, body.length & 0xff, 0, 0, 0, next])
  return checksum([packet.subarray(8, 40), length, body])
}

/** Whether the checksum behind an IPv6 header agrees with its addresses. */
export const isIntact = (packet: Buffer): boolean => sumOf(packet, 40, packet[6] ?? 0) === 0
