// HOT: `send` and `DatagramEvent.fire` run once per datagram. Delivery events are pooled, links
// are looked up in arrays, nothing is printed or copied unless `freezePayloads` asks for it.
import assert from 'node:assert/strict'
import type { Random } from '#base'
import { SystemFault } from './errors.ts'
import { SimEvent } from './event-queue.ts'
import type { Incarnation, Kernel } from './kernel.ts'
import {
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

interface Dice {
  readonly latency: Random
  readonly faults: Random
}

/** Everything between the nodes: datagrams here, streams in stream.ts, both over these links. */
export class Network {
  readonly kernel: Kernel
  readonly links: LinkTable
  readonly faults: NetworkFaults = { lossRatio: 0, duplicateRatio: 0, reorderRatio: 0 }
  readonly options: Required<Omit<NetworkOptions, 'link'>>
  readonly #hosts: Host[] = []
  readonly #byId = new Map<string, Host>()
  readonly #dice: (Dice | undefined)[] = []
  readonly #bound: (Map<number, DatagramHandler> | undefined)[] = []
  readonly #pool: DatagramEvent[] = []

  constructor(kernel: Kernel, options: NetworkOptions) {
    this.kernel = kernel
    const { link = {} } = options
    this.links = new LinkTable(typeof link === 'function' ? link : () => link)
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
    let ports = this.#bound[host]
    if (ports === undefined) {
      ports = new Map()
      this.#bound[host] = ports
    }
    if (ports.has(port)) throw new SystemFault('EADDRINUSE', 'bind', String(port))
    ports.set(port, handler)
  }

  unbind(host: number, port: number): void {
    this.#bound[host]?.delete(port)
  }

  unbindAll(host: number): void {
    this.#bound[host]?.clear()
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
    row.sent[index] = (row.sent[index] as number) + 1
    row.sentBytes[index] = (row.sentBytes[index] as number) + bytes
    kernel.record(Trace.sent, from, index, what)
    if ((row.cuts[index] as number) > 0) this.drop(Trace.cut, from, index, what)
    else this.#transmit(from, index, what, bytes, port)
  }

  #transmit(from: number, to: number, payload: unknown, bytes: number, port: number): void {
    const settings = this.links.settings(from, to)
    const faults = this.faults
    const dice = this.dice(from)
    const loss = Math.max(settings.lossRatio, faults.lossRatio)
    if (loss > 0 && dice.faults.next() < loss) {
      this.drop(Trace.lost, from, to, payload)
      return
    }
    const duplicate = Math.max(settings.duplicateRatio, faults.duplicateRatio)
    const reorder = Math.max(settings.reorderRatio, faults.reorderRatio)
    let copies = duplicate > 0 && dice.faults.next() < duplicate ? 2 : 1
    for (; copies > 0; copies -= 1) {
      let delayMs = this.delayMs(from, to, bytes)
      if (reorder > 0 && dice.faults.next() < reorder) {
        delayMs += dice.faults.next() * settings.reorderMs
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
    const jitterMs = settings.jitterMs > 0 ? this.dice(from).latency.next() * settings.jitterMs : 0
    const delayMs = settings.latencyMs + jitterMs
    if (settings.bytesPerMs === Number.POSITIVE_INFINITY) return delayMs
    const busy = this.links.row(from).busyUntilMs
    const freeMs = Math.max(this.kernel.nowMs, busy[to] as number)
    busy[to] = freeMs + bytes / settings.bytesPerMs
    return (busy[to] as number) - this.kernel.nowMs + delayMs
  }

  drop(why: Trace, from: number, to: number, payload: unknown): void {
    const { dropped } = this.links.row(from)
    dropped[to] = (dropped[to] as number) + 1
    this.kernel.record(why, from, to, payload)
  }

  handlerOf(host: number, port: number): DatagramHandler | undefined {
    return this.#bound[host]?.get(port)
  }

  /** One pair of streams per sender: a change of the fault plan leaves the latencies alone. */
  dice(from: number): Dice {
    const known = this.#dice[from]
    if (known !== undefined) return known
    const { id } = this.host(from)
    const made = {
      latency: this.kernel.stream('latency', id),
      faults: this.kernel.stream('link-faults', id),
    }
    this.#dice[from] = made
    return made
  }
}

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
    const row = network.links.row(from)
    if ((row.cuts[to] as number) > 0) return network.drop(Trace.cut, from, to, payload)
    const handler = incarnation === null ? undefined : network.handlerOf(to, port)
    if (handler === undefined) return network.drop(Trace.undelivered, from, to, payload)
    row.received[to] = (row.received[to] as number) + 1
    kernel.record(Trace.received, to, from, payload)
    kernel.running = incarnation
    handler(payload, network.host(from).id)
  }
}
