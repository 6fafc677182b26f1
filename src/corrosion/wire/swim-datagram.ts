import { crc32 } from 'node:zlib'
import type { ActorId } from '../changes/actor-id.ts'
import type { Health, Identity, Rumour } from '../membership/member.ts'
import { RUMOURS_MAX, type SwimMessage } from '../membership/swim-message.ts'
import { ByteReader } from './byte-reader.ts'
import { ByteWriter } from './byte-writer.ts'
import { WireError } from './errors.ts'
import { ipv4Bytes, ipv4Text, ipv6Groups, ipv6Text } from './ip-bytes.ts'
import { formatSocketAddress, parseSocketAddress } from './socket-address.ts'

/**
 * One message of membership in one datagram. Integers are little-endian.
 *   u8  kind, u8 version, u16 cluster id
 *   identity from, u32 incarnation
 *   u32 probe (ping, ack, pingRequest, relayedAck), identity target (pingRequest)
 *   u8  rumour count, then each: identity, u32 incarnation, u8 health
 *   u32 CRC-32 (as in zlib) of all before it
 * An identity is 16 bytes of id, an address and u64 renewedAt; an address is u8 4 and 4 bytes, or
 * u8 6 and 16 bytes, and u16 port, or else u8 0, u8 length and UTF-8 text.
 * This is our own: agents of Corrosion speak foca's format, and do not share a cluster with us.
 */
const VERSION = 1
export const SWIM_DATAGRAM_BYTES_MAX = 1_200
const TRAILER_BYTES = 4

/** The first byte: none of them begins any other protocol of ours. */
const kinds = ['ping', 'ack', 'pingRequest', 'relayedAck', 'announce', 'feed', 'gossip'] as const
const KIND_BASE = 0x50
const healths: readonly Health[] = ['alive', 'suspect', 'down']
const AddressTag = { text: 0, ipv4: 4, ipv6: 6 } as const

/** With RUMOURS_MAX of them, and all else that a message has, a datagram stays below its limit. */
const ADDRESS_TEXT_BYTES_MAX = 40

const writer = new ByteWriter(SWIM_DATAGRAM_BYTES_MAX)

/** @throws WireError wire.unencodable: an id that is no actor id, or an address that is too long. */
export function encodeSwim(message: SwimMessage): Buffer {
  writer.start()
  writer.u8(KIND_BASE + kinds.indexOf(message.kind))
  writer.u8(VERSION)
  writer.u16(message.clusterId)
  writeIdentity(message.from)
  writer.u32(message.incarnation)
  if ('probe' in message) writer.u32(message.probe >>> 0)
  if (message.kind === 'pingRequest') writeIdentity(message.target)
  writer.u8(message.rumours.length)
  for (const rumour of message.rumours) writeRumour(rumour)
  writer.u32(0)
  const datagram = writer.take()
  const bodyBytes = datagram.length - TRAILER_BYTES
  datagram.writeUInt32LE(crc32(datagram.subarray(0, bodyBytes)), bodyBytes)
  return datagram
}

/** @throws WireError wire.malformed, wire.checksum_bad, wire.unsupported (a later version) */
export function decodeSwim(datagram: Uint8Array): SwimMessage {
  const reader = new ByteReader(checkedBody(datagram))
  const kind = kinds[reader.u8() - KIND_BASE]
  if (kind === undefined) throw reader.bad('a membership message has no known kind')
  const version = reader.u8()
  if (version !== VERSION) throw otherVersion(version)
  const clusterId = reader.u16()
  const from = readIdentity(reader)
  const incarnation = reader.u32()
  const detail = readDetail(reader, kind)
  const rumours = readRumours(reader)
  reader.end()
  return { clusterId, from, incarnation, ...detail, rumours }
}

function checkedBody(datagram: Uint8Array): Uint8Array {
  const bodyBytes = datagram.length - TRAILER_BYTES
  if (bodyBytes < 1 || datagram.length > SWIM_DATAGRAM_BYTES_MAX) {
    throw new WireError('wire.malformed', {
      what: 'a membership datagram is too short or too long',
      values: { bytes: datagram.length, bytesMax: SWIM_DATAGRAM_BYTES_MAX },
    })
  }
  const body = datagram.subarray(0, bodyBytes)
  const trailer = new ByteReader(datagram.subarray(bodyBytes))
  if (trailer.u32() === crc32(body)) return body
  throw new WireError('wire.checksum_bad', {
    what: 'a membership datagram was damaged on its way',
    values: { bytes: datagram.length },
  })
}

type Kind = (typeof kinds)[number]
type Detail =
  | { kind: 'ping' | 'ack' | 'relayedAck'; probe: number }
  | { kind: 'pingRequest'; probe: number; target: Identity }
  | { kind: 'announce' | 'feed' | 'gossip' }

function readDetail(reader: ByteReader, kind: Kind): Detail {
  switch (kind) {
    case 'ping':
    case 'ack':
    case 'relayedAck':
      return { kind, probe: reader.u32() }
    case 'pingRequest':
      return { kind, probe: reader.u32(), target: readIdentity(reader) }
    case 'announce':
    case 'feed':
    case 'gossip':
      return { kind }
  }
}

function writeRumour({ identity, incarnation, health }: Rumour): void {
  writeIdentity(identity)
  writer.u32(incarnation)
  writer.u8(healths.indexOf(health))
}

function readRumours(reader: ByteReader): Rumour[] {
  const count = reader.u8()
  if (count > RUMOURS_MAX) throw reader.bad('a message carries too many rumours')
  const rumours: Rumour[] = []
  for (let left = count; left > 0; left -= 1) {
    const identity = readIdentity(reader)
    const incarnation = reader.u32()
    const health = healths[reader.u8()]
    if (health === undefined) throw reader.bad('a member has no known health')
    rumours.push({ identity, incarnation, health })
  }
  return rumours
}

function writeIdentity({ id, address, renewedAt }: Identity): void {
  if (!/^[0-9a-f]{32}$/.test(id)) throw unencodable('a node id is no actor id', { id })
  writer.actor(id as ActorId)
  writeAddress(address)
  writer.u64(renewedAt)
}

function readIdentity(reader: ByteReader): Identity {
  return { id: reader.actor(), address: readAddress(reader), renewedAt: reader.u64() }
}

function writeAddress(address: string): void {
  const parsed = parseSocketAddress(address)
  if (parsed?.family === 4) {
    writer.u8(AddressTag.ipv4)
    for (const byte of ipv4Bytes(parsed.host)) writer.u8(byte)
    writer.u16(parsed.port)
  } else if (parsed?.family === 6 && formOf(parsed.host, parsed.port) === address) {
    writer.u8(AddressTag.ipv6)
    for (const group of ipv6Groups(parsed.host)) writer.u16(group)
    writer.u16(parsed.port)
  } else writeAddressText(address)
}

/** Only the shortest form travels as bytes: what comes back is then what was sent. */
function formOf(host: string, port: number): string {
  return formatSocketAddress(ipv6Text(ipv6Groups(host)), port)
}

function writeAddressText(address: string): void {
  const text = Buffer.from(address)
  if (text.length > ADDRESS_TEXT_BYTES_MAX) throw unencodable('an address is too long', { address })
  writer.u8(AddressTag.text)
  writer.u8(text.length)
  writer.raw(text)
}

function readAddress(reader: ByteReader): string {
  switch (reader.u8()) {
    case AddressTag.ipv4: {
      const host = ipv4Text(reader.bytes(4))
      return formatSocketAddress(host, readPort(reader))
    }
    case AddressTag.ipv6: {
      const host = ipv6Text(Array.from({ length: 8 }, () => reader.u16()))
      return formatSocketAddress(host, readPort(reader))
    }
    case AddressTag.text: {
      const length = reader.u8()
      if (length > ADDRESS_TEXT_BYTES_MAX) throw reader.bad('an address is too long')
      return reader.shortText(length)
    }
    default:
      throw reader.bad('an address has no known form')
  }
}

function readPort(reader: ByteReader): number {
  const port = reader.u16()
  if (port === 0) throw reader.bad('a port is 0')
  return port
}

function otherVersion(version: number): WireError {
  return new WireError('wire.unsupported', {
    what: 'a membership message is of another version',
    values: { version, ours: VERSION },
    fix: 'upgrade the older of the two nodes',
  })
}

function unencodable(what: string, values: Readonly<Record<string, unknown>>): WireError {
  return new WireError('wire.unencodable', { what, values })
}
