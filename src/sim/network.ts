// HOT: `send` and `DatagramEvent.fire` run once per datagram. Delivery events are pooled, links
// are looked up in arrays, nothing is printed or copied unless `freezePayloads` asks for it.
import assert from 'node:assert/strict'
import { DiceTable } from './dice.ts'
import { SystemFault } from './errors.ts'
import { SimEvent } from './event-queue.ts'
import type { Incarnation, Kernel } from './kernel.ts'
import {
  Counter,
  type LinkCounts,
  type LinkRule,
  type LinkSettings,
  LinkTable,
  type Place,
} from './links.ts'
import { isolatePayload } from './payload.ts'
import { NOBODY, Trace } from './timeline.ts'

/** Payload of a UDP datagram over IPv6 on Ethernet: 1,500 - 40 - 8. */
export const MTU_BYTES_DEFAULT = 1_452

export interface NetworkOptions {
  /** One setting for all links, or a rule. @default defaultLink for every link. */
  readonly link?: Partial<LinkSettings> | LinkRule
  /** Larger datagrams are refused with EMSGSIZE. @default MTU_BYTES_DEFAULT */
  readonly mtuBytes?: number
  /** Size of a payload that is not a Uint8Array, for MTU, bandwidth and counters. @default 0 */
  readonly measure?: (payload: unknown) => number
  /** Deep-freezes what is sent (bytes are copied), so that shared memory shows. @default false */
  readonly freezePayloads?: boolean
  /** What may be in flight per direction of a stream. @default 1 MiB */
  readonly streamWindowBytes?: number
  /** As above, counted in messages. @default 1,024 */
  readonly streamWindowMessages?: number
  /** A stream whose data is not acknowledged for so long is reset. @default 15,000 */
  readonly streamTimeoutMs?: number
}

/** Faults of all links at once, on top of their settings: the larger ratio of the two counts. */
export interface NetworkFaults {
  lossRatio: number
  duplicateRatio: number
  reorderRatio: number
}

/** `payload` is what the sender passed, by reference: treat it as immutable. */
export type DatagramHandler = (payload: unknown, from: string) => void

/** A node as the network reaches it. */
export interface Host extends Place {
  readonly incarnation: Incarnation | null
}

/** Everything between the nodes: datagrams here, streams in stream.ts, both over these links. */
export class Network {
  readonly kernel: Kernel
  readonly links: LinkTable
  readonly faults: NetworkFaults = { lossRatio: 0, duplicateRatio: 0, reorderRatio: 0 }
  readonly options: Required<Omit<NetworkOptions, 'link'>>
  readonly #hosts: Host[] = []
  readonly #byId = new Map<string, Host>()
  readonly #dice: DiceTable
  readonly #bound = new Map<number, DatagramHandler>()
  /** The handlers of port 0, by host: the common case, without a look into the map. */
  readonly #boundToZero: (DatagramHandler | undefined)[] = []
  readonly #pool: DatagramEvent[] = []

  constructor(kernel: Kernel, options: NetworkOptions) {
    this.kernel = kernel
    this.#dice = new DiceTable(kernel.seed)
    const { link = {} } = options
    this.links = new LinkTable(link)
    this.options = {
      mtuBytes: options.mtuBytes ?? MTU_BYTES_DEFAULT,
      measure: options.measure ?? (() => 0),
      freezePayloads: options.freezePayloads ?? false,
      streamWindowBytes: options.streamWindowBytes ?? 1 << 20,
      streamWindowMessages: options.streamWindowMessages ?? 1_024,
      streamTimeoutMs: options.streamTimeoutMs ?? 15_000,
    }
  }

  addHost(host: Host): void {
    assert(host.index === this.#hosts.length, 'hosts are added in order of their index')
    this.#hosts.push(host)
    this.#byId.set(host.id, host)
    this.links.add(host)
    this.#boundToZero.push(undefined)
    // Two per sender: a change of the fault plan leaves the latencies alone.
    this.#dice.add('latency', host.id)
    this.#dice.add('link-faults', host.id)
  }

  host(index: number): Host {
    const host = this.#hosts[index]
    assert(host !== undefined, 'no such host')
    return host
  }

  find(id: string): Host | undefined {
    return this.#byId.get(id)
  }

  counts(from: string, to: string): LinkCounts {
    const source = this.#byId.get(from)
    const target = this.#byId.get(to)
    assert(source !== undefined && target !== undefined, 'no such link')
    return this.links.counts(source.index, target.index)
  }

  bind(host: number, port: number, handler: DatagramHandler): void {
    const key = keyOf(host, port)
    if (this.#bound.has(key)) throw new SystemFault('EADDRINUSE', 'bind', String(port))
    this.#bound.set(key, handler)
    if (port === 0) this.#boundToZero[host] = handler
  }

  unbind(host: number, port: number): void {
    this.#bound.delete(keyOf(host, port))
    if (port === 0) this.#boundToZero[host] = undefined
  }

  handlerOf(host: number, port: number): DatagramHandler | undefined {
    return port === 0 ? this.#boundToZero[host] : this.#bound.get(keyOf(host, port))
  }

  bytesOf(payload: unknown): number {
    return payload instanceof Uint8Array ? payload.byteLength : this.options.measure(payload)
  }

  /** @throws SystemFault EMSGSIZE. A loss or an unknown target is silent, as with UDP. */
  send(from: number, to: string, payload: unknown, port: number): void {
    const bytes = this.bytesOf(payload)
    if (bytes > this.options.mtuBytes) throw new SystemFault('EMSGSIZE', 'send', `${bytes} bytes`)
    const kernel = this.kernel
    const target = this.#byId.get(to)
    if (target === undefined) {
      kernel.record(Trace.undelivered, from, NOBODY, payload)
      return
    }
    const what = this.options.freezePayloads ? isolatePayload(payload) : payload
    const index = target.index
    const row = this.links.row(from)
    row.count(index, Counter.sent, 1)
    row.count(index, Counter.sentBytes, bytes)
    kernel.record(Trace.sent, from, index, what)
    if (this.links.isCut(from, index)) this.drop(Trace.cut, from, index, what)
    else this.#transmit(from, index, what, bytes, port)
  }

  #transmit(from: number, to: number, payload: unknown, bytes: number, port: number): void {
    const settings = this.links.settings(from, to)
    const faults = this.faults
    const loss = Math.max(settings.lossRatio, faults.lossRatio)
    if (this.strikes(from, loss)) {
      this.drop(Trace.lost, from, to, payload)
      return
    }
    const duplicate = Math.max(settings.duplicateRatio, faults.duplicateRatio)
    const reorder = Math.max(settings.reorderRatio, faults.reorderRatio)
    let copies = this.strikes(from, duplicate) ? 2 : 1
    for (; copies > 0; copies -= 1) {
      let delayMs = this.delayMs(from, to, bytes)
      if (this.strikes(from, reorder)) {
        delayMs += this.#dice.next(from * 2 + 1) * settings.reorderMs
      }
      const event = this.#pool.pop() ?? new DatagramEvent(this, this.#pool)
      event.from = from
      event.to = to
      event.port = port
      event.payload = payload
      this.kernel.queue.push(event, this.kernel.nowMs + delayMs)
    }
  }

  /** Latency, jitter and the wait for bandwidth of one message that is sent now. */
  delayMs(from: number, to: number, bytes: number): number {
    const settings = this.links.settings(from, to)
    const jitterMs = settings.jitterMs > 0 ? this.#dice.next(from * 2) * settings.jitterMs : 0
    const delayMs = settings.latencyMs + jitterMs
    if (settings.bytesPerMs === Number.POSITIVE_INFINITY) return delayMs
    const busy = this.links.row(from).busyUntilMs
    const freeMs = Math.max(this.kernel.nowMs, busy[to] as number)
    busy[to] = freeMs + bytes / settings.bytesPerMs
    return (busy[to] as number) - this.kernel.nowMs + delayMs
  }

  drop(why: Trace, from: number, to: number, payload: unknown): void {
    this.links.row(from).count(to, Counter.dropped, 1)
    this.kernel.record(why, from, to, payload)
  }

  /** Tosses the coin of a fault that `from` may suffer. Draws only when there is a risk. */
  strikes(from: number, ratio: number): boolean {
    return ratio > 0 && this.#dice.next(from * 2 + 1) < ratio
  }
}

const PORTS = 2 ** 16
const keyOf = (host: number, port: number) => host * PORTS + port

/** A datagram on its way. What matters is who lives at the target when it arrives. */
class DatagramEvent extends SimEvent {
  from = 0
  to = 0
  port = 0
  payload: unknown = undefined
  readonly #network: Network
  readonly #pool: DatagramEvent[]

  constructor(network: Network, pool: DatagramEvent[]) {
    super()
    this.#network = network
    this.#pool = pool
  }

  fire(): void {
    const network = this.#network
    const kernel = network.kernel
    const incarnation = network.host(this.to).incarnation
    if (incarnation !== null && incarnation.resumeAtMs > kernel.nowMs) {
      kernel.queue.push(this, incarnation.resumeAtMs)
      return
    }
    const { from, to, port, payload } = this
    this.payload = undefined
    this.#pool.push(this)
    const isCut = network.links.isCut(from, to)
    const handler = incarnation === null ? undefined : network.handlerOf(to, port)
    if (isCut || handler === undefined) {
      network.drop(isCut ? Trace.cut : Trace.undelivered, from, to, payload)
      return
    }
    network.links.row(from).count(to, Counter.received, 1)
    kernel.record(Trace.received, to, from, payload)
    kernel.running = incarnation
    handler(payload, network.host(from).id)
  }
}
