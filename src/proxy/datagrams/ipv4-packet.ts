/** UDP over IPv4, as it goes to a machine and comes from one. Sources: RFC 791, RFC 768. */
import type { Endpoint } from './endpoint.ts'

const IP_BYTES = 20
const UDP_BYTES = 8
export const PACKET_HEAD_BYTES = IP_BYTES + UDP_BYTES
const PROTOCOL_UDP = 17
const VERSION_AND_WORDS = 0x45
const HOPS = 64
const MORE_FRAGMENTS_OR_OFFSET = 0x3fff

/**
 * Writes the headers before a payload at `payloadAt`. The kernel adds the header's checksum; that of UDP is left out (0),
 * which IPv4 allows: the packet goes to a machine on this host, by no wire.
 * @returns where the packet begins
 */
export function writePacketHead(
  bytes: Buffer,
  payloadAt: number,
  payloadBytes: number,
  { from, to }: { readonly from: Endpoint; readonly to: Endpoint },
): number {
  const start = payloadAt - PACKET_HEAD_BYTES
  const udp = start + IP_BYTES
  bytes.fill(0, start, payloadAt)
  bytes[start] = VERSION_AND_WORDS
  bytes.writeUInt16BE(PACKET_HEAD_BYTES + payloadBytes, start + 2)
  bytes[start + 8] = HOPS
  bytes[start + 9] = PROTOCOL_UDP
  bytes.writeUInt32BE(from.ip, start + 12)
  bytes.writeUInt32BE(to.ip, start + 16)
  bytes.writeUInt16BE(from.port, udp)
  bytes.writeUInt16BE(to.port, udp + 2)
  bytes.writeUInt16BE(UDP_BYTES + payloadBytes, udp + 4)
  return start
}

export interface ReadPacket {
  readonly from: Endpoint
  readonly to: Endpoint
  readonly payloadAt: number
  readonly payloadBytes: number
}

/** @returns why not, for what is no whole datagram: guests send what they like */
export function readPacket(
  bytes: Buffer,
  start: number,
  length: number,
): ReadPacket | 'malformed' | 'fragment' {
  if (length < PACKET_HEAD_BYTES || bytes[start] !== VERSION_AND_WORDS) return 'malformed'
  if (bytes[start + 9] !== PROTOCOL_UDP) return 'malformed'
  if ((bytes.readUInt16BE(start + 6) & MORE_FRAGMENTS_OR_OFFSET) !== 0) return 'fragment'
  const udp = start + IP_BYTES
  const udpBytes = bytes.readUInt16BE(udp + 4)
  if (udpBytes < UDP_BYTES || udpBytes + IP_BYTES > length) return 'malformed'
  return {
    from: { ip: bytes.readUInt32BE(start + 12), port: bytes.readUInt16BE(udp) },
    to: { ip: bytes.readUInt32BE(start + 16), port: bytes.readUInt16BE(udp + 2) },
    payloadAt: start + PACKET_HEAD_BYTES,
    payloadBytes: udpBytes - UDP_BYTES,
  }
}
