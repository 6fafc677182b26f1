import { BlockList, isIP } from 'node:net'
import { ProxyError } from '../errors.ts'
import { addressOf, encodeSocketAddress } from '../net/socket-address.ts'
import { parseProxyHeader } from '../proxy-protocol.ts'
import type { ConnectionFacts } from '../route.ts'

/** Whose connections begin with a PROXY header that is believed. */
export class TrustedBalancers {
  readonly #list = new BlockList()
  readonly #isEmpty: boolean

  /** @throws ProxyError proxy.config_bad: no address and no network */
  constructor(networks: readonly string[]) {
    this.#isEmpty = networks.length === 0
    for (const network of networks) {
      const [address = '', prefix] = network.split('/')
      const family = familyOf(address)
      const bits = prefix === undefined ? (family === 'ipv4' ? 32 : 128) : Number(prefix)
      try {
        this.#list.addSubnet(address, bits, family)
      } catch (cause) {
        throw new ProxyError('proxy.config_bad', {
          what: 'no network',
          values: { network },
          fix: 'write an address, or one like 10.0.0.0/8',
          cause,
        })
      }
    }
  }

  has(address: string): boolean {
    return !this.#isEmpty && this.#list.check(address, familyOf(address))
  }
}

const familyOf = (address: string) => (isIP(address) === 6 ? 'ipv6' : 'ipv4')

/**
 * The connection as the header at the start of `bytes` tells it: the client's address and port are the header's; what
 * was dialled stays what came to this proxy, for apps are found by it.
 */
export function behindBalancer(
  bytes: Buffer,
  facts: ConnectionFacts,
): { readonly take: number; readonly facts: ConnectionFacts } | 'more' | 'bad' {
  const header = parseProxyHeader(bytes)
  if (header === 'incomplete') return 'more'
  if (header === 'bad') return 'bad'
  if (header.facts === undefined) return { take: header.bytes, facts } // the balancer itself
  const { clientAddress, clientPort } = header.facts
  if (isIP(clientAddress) === 0) return 'bad'
  // As the kernel would print it: it is compared with others.
  const canonical = addressOf(encodeSocketAddress(clientAddress, clientPort).memory)
  return { take: header.bytes, facts: { ...facts, clientAddress: canonical, clientPort } }
}
