import { isIPv4 } from 'node:net'
import { groupsOf } from './net/socket-address.ts'
import type { ConnectionFacts } from './route.ts'

/** Source: HAProxy's proxy-protocol.txt, sections 2.1 and 2.2. */
const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const V1_BYTES_MAX = 107
const V2_HEAD_BYTES = 16
const V2_BODY_BYTES_MAX = 2048
const COMMAND_PROXY = 0x21
const COMMAND_LOCAL = 0x20
const TCP4 = 0x11
const TCP6 = 0x21

/** The header that tells a machine whose connection this is. Destination: what the client dialled. */
export function encodeProxyHeader(version: 1 | 2, facts: ConnectionFacts): Buffer {
  const isV4 = isIPv4(facts.clientAddress) && isIPv4(facts.localAddress)
  return version === 1 ? encodeV1(facts, isV4) : encodeV2(facts, isV4)
}

function encodeV1(facts: ConnectionFacts, isV4: boolean): Buffer {
  const { clientAddress, localAddress, clientPort, localPort } = facts
  const family = isV4 ? 'TCP4' : 'TCP6'
  const [source, target] = isV4
    ? [clientAddress, localAddress]
    : [asIpv6(clientAddress), asIpv6(localAddress)]
  return Buffer.from(`PROXY ${family} ${source} ${target} ${clientPort} ${localPort}\r\n`)
}

const asIpv6 = (address: string) => (isIPv4(address) ? `::ffff:${address}` : address)

function encodeV2(facts: ConnectionFacts, isV4: boolean): Buffer {
  const addressBytes = isV4 ? 4 : 16
  const bytes = Buffer.alloc(V2_HEAD_BYTES + 2 * addressBytes + 4)
  SIGNATURE.copy(bytes)
  bytes[12] = COMMAND_PROXY
  bytes[13] = isV4 ? TCP4 : TCP6
  bytes.writeUInt16BE(2 * addressBytes + 4, 14)
  writeAddress(bytes, V2_HEAD_BYTES, facts.clientAddress, isV4)
  writeAddress(bytes, V2_HEAD_BYTES + addressBytes, facts.localAddress, isV4)
  bytes.writeUInt16BE(facts.clientPort, V2_HEAD_BYTES + 2 * addressBytes)
  bytes.writeUInt16BE(facts.localPort, V2_HEAD_BYTES + 2 * addressBytes + 2)
  return bytes
}

function writeAddress(bytes: Buffer, at: number, address: string, isV4: boolean): void {
  if (isV4)
    for (const [index, part] of address.split('.').entries()) bytes[at + index] = Number(part)
  else
    for (const [index, group] of groupsOf(asIpv6(address)).entries())
      bytes.writeUInt16BE(group, at + 2 * index)
}

/** Source and target that a header names; undefined in it: the sender speaks for itself (LOCAL, UNKNOWN). */
export interface ProxyHeader {
  readonly bytes: number
  readonly facts: ConnectionFacts | undefined
}

/** Reads a header of either version at the start of `bytes`. */
export function parseProxyHeader(bytes: Buffer): ProxyHeader | 'incomplete' | 'bad' {
  const length = Math.min(bytes.length, SIGNATURE.length)
  if (bytes.subarray(0, length).equals(SIGNATURE.subarray(0, length))) return parseV2(bytes)
  return parseV1(bytes)
}

const V1_PATTERN =
  /^PROXY (?:UNKNOWN[^\r\n]*|(TCP4|TCP6) ([0-9a-fA-F:.]{2,45}) ([0-9a-fA-F:.]{2,45}) (\d{1,5}) (\d{1,5}))\r\n/

function parseV1(bytes: Buffer): ProxyHeader | 'incomplete' | 'bad' {
  const text = bytes.toString('latin1', 0, V1_BYTES_MAX)
  const prefix = 'PROXY '
  if (!text.startsWith(prefix.slice(0, text.length))) return 'bad'
  if (!text.includes('\n')) return bytes.length >= V1_BYTES_MAX ? 'bad' : 'incomplete'
  const match = V1_PATTERN.exec(text)
  if (match === null) return 'bad'
  const [line, family, clientAddress, localAddress, clientPort, localPort] = match
  if (family === undefined) return { bytes: line.length, facts: undefined }
  const facts = {
    clientAddress: clientAddress ?? '',
    localAddress: localAddress ?? '',
    clientPort: Number(clientPort),
    localPort: Number(localPort),
  }
  if (facts.clientPort > 65_535 || facts.localPort > 65_535) return 'bad'
  const isV4 = isIPv4(facts.clientAddress) && isIPv4(facts.localAddress)
  if (isV4 !== (family === 'TCP4')) return 'bad'
  return { bytes: line.length, facts }
}

function parseV2(bytes: Buffer): ProxyHeader | 'incomplete' | 'bad' {
  if (bytes.length < V2_HEAD_BYTES) return 'incomplete'
  const command = bytes[12]
  const bodyBytes = bytes.readUInt16BE(14)
  if ((command !== COMMAND_PROXY && command !== COMMAND_LOCAL) || bodyBytes > V2_BODY_BYTES_MAX)
    return 'bad'
  const total = V2_HEAD_BYTES + bodyBytes
  if (bytes.length < total) return 'incomplete'
  if (command === COMMAND_LOCAL) return { bytes: total, facts: undefined }
  const family = bytes[13]
  if (family !== TCP4 && family !== TCP6) return { bytes: total, facts: undefined }
  const addressBytes = family === TCP4 ? 4 : 16
  if (bodyBytes < 2 * addressBytes + 4) return 'bad'
  const readAt = (at: number) => readAddress(bytes.subarray(at, at + addressBytes))
  const ports = V2_HEAD_BYTES + 2 * addressBytes
  return {
    bytes: total,
    facts: {
      clientAddress: readAt(V2_HEAD_BYTES),
      localAddress: readAt(V2_HEAD_BYTES + addressBytes),
      clientPort: bytes.readUInt16BE(ports),
      localPort: bytes.readUInt16BE(ports + 2),
    },
  }
}

function readAddress(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index).toString(16))
  return groups.join(':')
}
