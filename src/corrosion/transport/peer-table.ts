import type { Random } from '#base'
import { ipv6Groups, ipv6Text } from '../wire/ip-bytes.ts'
import { formatSocketAddress, parseSocketAddress } from '../wire/socket-address.ts'
import { QuicPeer } from './quic-peer.ts'
import type { TransportCounters } from './transport.ts'

const PEERS_MAX = 8_192

/** The peers by address. An address is parsed once, in each form that callers write it. */
export class PeerTable implements Iterable<QuicPeer> {
  readonly #counters: TransportCounters
  readonly #random: Random
  readonly #byAddress = new Map<string, QuicPeer>()
  readonly #byAlias = new Map<string, QuicPeer>()

  constructor(counters: TransportCounters, random: Random) {
    this.#counters = counters
    this.#random = random
  }

  get size(): number {
    return this.#byAddress.size
  }

  [Symbol.iterator](): Iterator<QuicPeer> {
    return this.#byAddress.values()
  }

  known(address: string): QuicPeer | undefined {
    return this.#byAlias.get(address)
  }

  /** Known or new; undefined: no address, or as many peers as there may be. */
  of(address: string): QuicPeer | undefined {
    return this.#byAlias.get(address) ?? this.#add(address)
  }

  /** Drops those of which nothing is known that would be missed. */
  forgetIdle(nowMs: number): void {
    for (const [address, peer] of this.#byAddress) {
      if (peer.isForgettable(nowMs)) this.#byAddress.delete(address)
    }
    for (const [alias, { address }] of this.#byAlias) {
      if (!this.#byAddress.has(address)) this.#byAlias.delete(alias)
    }
  }

  #add(alias: string): QuicPeer | undefined {
    const parsed = parseSocketAddress(alias)
    if (parsed === undefined || this.#byAlias.size >= 2 * PEERS_MAX) return undefined
    const { port } = parsed
    const host = parsed.family === 6 ? ipv6Text(ipv6Groups(parsed.host)) : parsed.host
    const address = formatSocketAddress(host, port)
    let peer = this.#byAddress.get(address)
    if (peer === undefined) {
      if (this.#byAddress.size >= PEERS_MAX) return undefined
      const [counters, random] = [this.#counters, this.#random]
      peer = new QuicPeer({ address, host, port, counters, random })
      this.#byAddress.set(address, peer)
      this.#byAlias.set(address, peer)
    }
    this.#byAlias.set(alias, peer)
    return peer
  }
}
