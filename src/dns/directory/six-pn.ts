import { isIPv4, isIPv6, SocketAddress } from 'node:net'
import { DnsError } from '../errors.ts'

/** The 16 bytes of an IPv6 address; a zone id (`%eth0`) is ignored. @throws DnsError dns.address_bad */
export function ipv6Bytes(text: string): Buffer {
  const [bare = ''] = text.split('%')
  if (!isIPv6(bare)) {
    throw new DnsError('dns.address_bad', { what: 'not an IPv6 address', values: { text } })
  }
  const bytes = Buffer.alloc(16)
  const [head = '', tail] = withHexTail(bare).split('::')
  const before = wordsOf(head)
  const after = wordsOf(tail ?? '')
  for (const [at, word] of before.entries()) bytes.writeUInt16BE(word, 2 * at)
  for (const [at, word] of after.entries()) bytes.writeUInt16BE(word, 16 - 2 * (after.length - at))
  return bytes
}

/** The 32-bit network id of a 6PN address (`fdaa:N:N::/48`); undefined for others and for network 0. */
export function networkOf(bytes: Buffer): number | undefined {
  if (bytes.length !== 16 || bytes.readUInt16BE(0) !== 0xfdaa) return undefined
  const network = bytes.readUInt32BE(2)
  return network === 0 ? undefined : network
}

/** `fdaa:N:N::3`, the service address of a network. */
export function serviceAddress(network: number): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt16BE(0xfdaa, 0)
  bytes.writeUInt32BE(network, 2)
  bytes[15] = 3
  return bytes
}

/** As RFC 5952 writes it. */
export function ipv6Text(bytes: Buffer): string {
  const words = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(2 * at).toString(16))
  return new SocketAddress({ address: words.join(':'), family: 'ipv6' }).address
}

const wordsOf = (text: string): number[] =>
  text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16))

/** `::ffff:1.2.3.4` with its last 32 bits as words. */
function withHexTail(text: string): string {
  const at = text.lastIndexOf(':') + 1
  const quad = text.slice(at)
  if (!isIPv4(quad)) return text
  const [a = 0, b = 0, c = 0, d = 0] = quad.split('.').map(Number)
  return `${text.slice(0, at)}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
}
