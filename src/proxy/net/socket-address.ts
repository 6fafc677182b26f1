import { isIPv4, isIPv6 } from 'node:net'
import { ProxyError } from '../errors.ts'
import { AF_INET, AF_INET6 } from './libc.ts'
import { Memory } from './memory.ts'

/** `struct sockaddr_in` (16 bytes) or `sockaddr_in6` (28 bytes); port and address are big-endian. */
export interface SocketAddress {
  readonly memory: Memory
  readonly family: number
  readonly bytes: number
}

/** @throws ProxyError proxy.address_bad */
export function encodeSocketAddress(address: string, port: number): SocketAddress {
  const memory = new Memory(28)
  const { bytes } = memory
  if (isIPv4(address)) {
    bytes.writeUInt16LE(AF_INET, 0)
    bytes.writeUInt16BE(port, 2)
    for (const [index, part] of address.split('.').entries()) bytes[4 + index] = Number(part)
    return { memory, family: AF_INET, bytes: 16 }
  }
  if (isIPv6(address)) {
    bytes.writeUInt16LE(AF_INET6, 0)
    bytes.writeUInt16BE(port, 2)
    for (const [index, group] of groupsOf(address).entries())
      bytes.writeUInt16BE(group, 8 + index * 2)
    return { memory, family: AF_INET6, bytes: 28 }
  }
  throw new ProxyError('proxy.address_bad', { what: 'not an IP address', values: { address } })
}

/** The eight groups of an IPv6 address; '::' stands for as many zeros as are missing. */
export function groupsOf(address: string): number[] {
  const dotted = address.lastIndexOf('.') < 0 ? address : withHexTail(address)
  const [head = '', tail] = dotted.split('::')
  const parse = (text: string) =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
  const front = parse(head)
  if (tail === undefined) return front
  const back = parse(tail)
  return [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back]
}

/** '::ffff:1.2.3.4' as '::ffff:102:304'. */
function withHexTail(address: string): string {
  const colon = address.lastIndexOf(':') + 1
  const [a = 0, b = 0, c = 0, d = 0] = address.slice(colon).split('.').map(Number)
  return `${address.slice(0, colon)}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
}

export const portOf = (memory: Memory): number => memory.bytes.readUInt16BE(2)

/** The text of the address; IPv4-mapped IPv6 is written as IPv4. */
export function addressOf({ bytes }: Memory): string {
  if (bytes.readUInt16LE(0) === AF_INET) return `${bytes[4]}.${bytes[5]}.${bytes[6]}.${bytes[7]}`
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(8 + index * 2))
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `${bytes[20]}.${bytes[21]}.${bytes[22]}.${bytes[23]}`
  }
  return compress(groups)
}

/** RFC 5952: the longest run of zeros, of at least two, becomes '::'. */
function compress(groups: readonly number[]): string {
  let runStart = -1
  let runLength = 1
  for (let start = 0; start < 8; start += 1) {
    let length = 0
    while (start + length < 8 && groups[start + length] === 0) length += 1
    if (length > runLength) {
      runStart = start
      runLength = length
    }
  }
  const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':')
  if (runStart < 0) return hex(groups)
  return `${hex(groups.slice(0, runStart))}::${hex(groups.slice(runStart + runLength))}`
}
