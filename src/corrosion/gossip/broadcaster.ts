import type { Random } from '#base'
import { DrawSet } from '../membership/draw-set.ts'
import { NEAR_RING, RttRing } from './rtt-ring.ts'

export interface BroadcastOptions {
  /** Up to this many peers are told directly, all of them, and pass nothing on. */
  readonly meshPeersMax: number
  /** Near peers and others, at random, that a change goes to at once. */
  readonly nearTargets: number
  readonly farTargets: number
  /** When it goes to more, and to how many each time: repairs what got lost. */
  readonly resendAfterMs: readonly number[]
  readonly resendTargets: number
  /** Bytes that may leave a second; a burst of one second may leave at once. */
  readonly bytesPerSecond: number
  /** Changes that wait to be sent again. */
  readonly queueMax: number
}

/**
 * At 1,000 nodes in twelve cities with 1 % loss: six copies of a change a node, 99 % of nodes within 0.5 s. Nine copies
 * halve that, five more than double it (`npm run sim -- propagation --set print=1`).
 */
export const DEFAULT_BROADCAST_OPTIONS: BroadcastOptions = {
  meshPeersMax: 8,
  nearTargets: 2,
  farTargets: 2,
  resendAfterMs: [250, 700],
  resendTargets: 1,
  bytesPerSecond: 10 * 1024 * 1024,
  queueMax: 20_000,
}

/** Give `frame` to the peer at `to`. */
export interface SendAction {
  readonly to: string
  readonly frame: Uint8Array
}

interface Peer {
  readonly address: string
  readonly rtt: RttRing
}

interface Spreading {
  readonly frame: Uint8Array
  /** Ids of peers that have it. */
  readonly toldTo: Set<string>
  readonly isLocal: boolean
  sends: number
  dueAtMs: number
}

/**
 * Spreads changes without knowing who has them: each goes at once to a few near and a few random peers,
 * which do the same when it is news to them, and again, a little later, to a few more. What gets lost all the
 * same is found by sync. In a small cluster the writer tells everyone itself, once.
 *
 * No I/O. Bounded: a full queue drops what was sent most often, an empty token bucket drops.
 * Source: push gossip (Demers et al. 1987) with near peers first, as Corrosion's ring 0.
 */
export class Broadcaster {
  readonly #options: BroadcastOptions
  readonly #random: Random
  readonly #peers = new Map<string, Peer>()
  readonly #idsByAddress = new Map<string, string>()
  readonly #all = new DrawSet()
  readonly #near = new DrawSet()
  #queue: Spreading[] = []
  #tokens: number
  #filledAtMs = 0
  #dropped = 0

  constructor(random: Random, options: BroadcastOptions = DEFAULT_BROADCAST_OPTIONS) {
    this.#options = options
    this.#random = random
    this.#tokens = options.bytesPerSecond
  }

  get peerCount(): number {
    return this.#peers.size
  }

  /** Frames that were not sent: sync brings them. */
  get droppedCount(): number {
    return this.#dropped
  }

  get queueLength(): number {
    return this.#queue.length
  }

  /** When `tick` is due at the latest. */
  get wakeAtMs(): number {
    let wakeAtMs = Infinity
    for (const { dueAtMs } of this.#queue) wakeAtMs = Math.min(wakeAtMs, dueAtMs)
    return wakeAtMs
  }

  peerUp(id: string, address: string): void {
    this.peerDown(id)
    this.#peers.set(id, { address, rtt: new RttRing() })
    this.#idsByAddress.set(address, id)
    this.#all.add(id)
  }

  peerDown(id: string): void {
    const peer = this.#peers.get(id)
    if (peer === undefined) return
    this.#peers.delete(id)
    if (this.#idsByAddress.get(peer.address) === id) this.#idsByAddress.delete(peer.address)
    this.#all.delete(id)
    this.#near.delete(id)
  }

  rttSampled(id: string, rttMs: number): void {
    const peer = this.#peers.get(id)
    if (peer === undefined) return
    peer.rtt.add(rttMs)
    if (peer.rtt.ring === NEAR_RING) this.#near.add(id)
    else this.#near.delete(id)
  }

  ringOf(id: string): number | undefined {
    return this.#peers.get(id)?.rtt.ring
  }

  /** A change of this node: tell others. */
  spreadOwn(frame: Uint8Array, nowMs: number): SendAction[] {
    return this.#spread(
      { frame, toldTo: new Set(), isLocal: true, sends: 0, dueAtMs: nowMs },
      nowMs,
    )
  }

  /** A change that came from the peer at `from` and is news here. `origin` is the id of its writer. */
  passOn(frame: Uint8Array, from: string, origin: string, nowMs: number): SendAction[] {
    const sender = this.#idsByAddress.get(from)
    const isMesh = this.#peers.size <= this.#options.meshPeersMax
    if (isMesh && sender === origin) return [] // its writer tells everybody
    const toldTo = new Set([origin])
    if (sender !== undefined) toldTo.add(sender)
    return this.#spread({ frame, toldTo, isLocal: false, sends: 0, dueAtMs: nowMs }, nowMs)
  }

  /** Sends again what is due: own changes and newer ones first. */
  tick(nowMs: number): SendAction[] {
    const due: Spreading[] = []
    const later: Spreading[] = []
    for (const entry of this.#queue) (entry.dueAtMs <= nowMs ? due : later).push(entry)
    if (due.length === 0) return []
    this.#queue = later
    due.sort((a, b) => Number(b.isLocal) - Number(a.isLocal) || b.dueAtMs - a.dueAtMs)
    return due.flatMap((entry) => this.#send(entry, this.#targets(entry), nowMs))
  }

  #spread(entry: Spreading, nowMs: number): SendAction[] {
    return this.#send(entry, this.#targets(entry), nowMs)
  }

  #targets({ toldTo, sends }: Spreading): string[] {
    const { meshPeersMax, nearTargets, farTargets, resendTargets } = this.#options
    const fresh = (ids: Iterable<string>) => [...ids].filter((id) => !toldTo.has(id))
    if (this.#peers.size <= meshPeersMax) return fresh(this.#peers.keys())
    // A few more are drawn than needed: some have it already.
    const draw = (set: DrawSet, count: number) =>
      fresh(set.draw(count + toldTo.size, this.#random)).slice(0, count)
    if (sends > 0) return draw(this.#all, resendTargets)
    return [...new Set([...draw(this.#near, nearTargets), ...draw(this.#all, farTargets)])]
  }

  #send(entry: Spreading, ids: readonly string[], nowMs: number): SendAction[] {
    const actions: SendAction[] = []
    for (const id of ids) {
      const peer = this.#peers.get(id)
      if (peer === undefined) continue
      if (!this.#pay(entry.frame.length, nowMs)) {
        this.#dropped += 1
        continue
      }
      entry.toldTo.add(id)
      actions.push({ to: peer.address, frame: entry.frame })
    }
    const wait = this.#options.resendAfterMs[entry.sends]
    entry.sends += 1
    if (wait === undefined || this.#peers.size <= this.#options.meshPeersMax) return actions
    entry.dueAtMs = nowMs + wait * (0.75 + this.#random.next() / 2)
    this.#queue.push(entry)
    if (this.#queue.length > this.#options.queueMax) this.#dropOne()
    return actions
  }

  /** Drops what was sent most often, of those the one that others wrote, of those the oldest. */
  #dropOne(): void {
    let worst = 0
    for (const [at, entry] of this.#queue.entries()) {
      const least = this.#queue[worst] as Spreading
      const isWorse = entry.sends - least.sends || Number(least.isLocal) - Number(entry.isLocal)
      if (isWorse > 0) worst = at
    }
    this.#queue.splice(worst, 1)
    this.#dropped += 1
  }

  #pay(bytes: number, nowMs: number): boolean {
    const { bytesPerSecond } = this.#options
    const earned = ((nowMs - this.#filledAtMs) / 1_000) * bytesPerSecond
    this.#tokens = Math.min(bytesPerSecond, this.#tokens + Math.max(0, earned))
    this.#filledAtMs = nowMs
    if (this.#tokens < bytes) return false
    this.#tokens -= bytes
    return true
  }
}
