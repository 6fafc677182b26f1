import { isIPv6 } from 'node:net'
import { NativeMemory } from '#native'
import { ipv6Bytes, ipv6Text } from '../directory/six-pn.ts'
import type { Endpoint } from '../upstream/exchange.ts'
import { AF_INET, AF_INET6 } from './libc.ts'

/** `struct sockaddr_in` and `sockaddr_in6`: family, port (big-endian) and, from there on, the address. */
export const SOCKADDR_BYTES = { [AF_INET]: 16, [AF_INET6]: 28 } as const
const V4_AT = 4
const V6_AT = 8

export const familyOf = ({ address }: Endpoint): typeof AF_INET | typeof AF_INET6 =>
  isIPv6(address) ? AF_INET6 : AF_INET

/** @throws DnsError dns.address_bad */
export function socketAddress(at: Endpoint): NativeMemory {
  const family = familyOf(at)
  const memory = new NativeMemory(SOCKADDR_BYTES[family])
  const { bytes } = memory
  bytes.writeUInt16LE(family, 0)
  bytes.writeUInt16BE(at.port, 2)
  if (family === AF_INET6) ipv6Bytes(at.address).copy(bytes, V6_AT)
  else Buffer.from(at.address.split('.').map(Number)).copy(bytes, V4_AT)
  return memory
}

export const portOf = ({ bytes }: NativeMemory): number => bytes.readUInt16BE(2)

/** Addresses remembered at once. */
const TEXTS_MAX = 65_536

/** Addresses of one family as people write them, each written out once. */
export class AddressTexts {
  readonly #texts = new Map<string, string>()
  readonly #at: number
  readonly #end: number

  constructor(family: typeof AF_INET | typeof AF_INET6) {
    this.#at = family === AF_INET6 ? V6_AT : V4_AT
    this.#end = this.#at + (family === AF_INET6 ? 16 : 4)
  }

  /** Of the `sockaddr`, without its port. The zone id of a link-local address is left out. */
  of(sockaddr: Buffer): string {
    const key = sockaddr.toString('latin1', this.#at, this.#end)
    return this.#texts.get(key) ?? this.#write(key, sockaddr)
  }

  #write(key: string, sockaddr: Buffer): string {
    const bytes = sockaddr.subarray(this.#at, this.#end)
    const text = bytes.length === 16 ? ipv6Text(bytes) : bytes.join('.')
    if (this.#texts.size >= TEXTS_MAX) this.#texts.clear()
    this.#texts.set(key, text)
    return text
  }
}
