import type { Counters } from '../observe/counters.ts'
import type { ProxyLimits } from './limits.ts'

/** A connection of a client, whatever it speaks. */
export interface Client {
  readonly address: string
  /** Closes what is late. Called about twice a second. */
  sweep(nowMs: number): void
  /** Ends after what is under way; idle ones at once, unless the engine keeps them. */
  drain(): void
  /** Ends now. */
  close(): void
}

/** All connections of clients in this process, and how many each address has. */
export class ClientSet {
  readonly #limits: ProxyLimits
  readonly #counters: Counters
  readonly #clients = new Set<Client>()
  readonly #perAddress = new Map<string, number>()

  constructor(limits: ProxyLimits, counters: Counters) {
    this.#limits = limits
    this.#counters = counters
  }

  get size(): number {
    return this.#clients.size
  }

  /** Whether one more connection of this address is taken. */
  admits(address: string): boolean {
    const { connectionsMax, connectionsPerAddressMax } = this.#limits
    if (this.#clients.size >= connectionsMax) return false
    return (this.#perAddress.get(groupOf(address)) ?? 0) < connectionsPerAddressMax
  }

  add(client: Client): void {
    this.#clients.add(client)
    this.#count(client.address, 1)
    this.#counters.connectionsOpen += 1
    this.#counters.connectionsAccepted += 1
  }

  /** `next` goes on with the connection of `client`, which ends. */
  replace(client: Client, next: Client): void {
    if (!this.#clients.delete(client)) return
    this.#clients.add(next)
    if (client.address === next.address) return // all but those behind a balancer
    this.#count(client.address, -1)
    this.#count(next.address, 1)
  }

  remove(client: Client): void {
    if (!this.#clients.delete(client)) return
    this.#count(client.address, -1)
    this.#counters.connectionsOpen -= 1
    this.#counters.connectionsClosed += 1
  }

  #count(address: string, change: 1 | -1): void {
    const group = groupOf(address)
    const count = (this.#perAddress.get(group) ?? 0) + change
    if (count <= 0) this.#perAddress.delete(group)
    else this.#perAddress.set(group, count)
  }

  sweep(nowMs: number): void {
    for (const client of this.#clients) client.sweep(nowMs)
  }

  drain(): void {
    for (const client of this.#clients) client.drain()
  }

  closeAll(): void {
    for (const client of this.#clients) client.close()
  }
}

/** IPv6 hosts have a /64 each, and as many addresses in it as they like. */
export function groupOf(address: string): string {
  if (!address.includes(':')) return address
  const [head = '', tail] = address.split('::')
  const front = head === '' ? [] : head.split(':')
  if (tail === undefined) return front.slice(0, 4).join(':')
  const back = tail === '' ? [] : tail.split(':')
  const zeros = new Array<string>(Math.max(0, 8 - front.length - back.length)).fill('0')
  return [...front, ...zeros, ...back].slice(0, 4).join(':')
}
