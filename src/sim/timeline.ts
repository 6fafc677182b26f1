// HOT: `record` runs several times per event. It writes numbers into rings and keeps a reference
// to the detail; words are made only when somebody reads the timeline.
import type { HistoryHash } from './history-hash.ts'

/**
 * What a timeline can hold. Traffic comes first and has a ring of its own, so that an hour of
 * heartbeats does not push the one crash out of sight.
 */
export const Trace = {
  sent: 0,
  received: 1,
  lost: 2,
  cut: 3,
  undelivered: 4,
  disk: 5,
  stream: 6,
  // Landmarks from here on.
  diskFault: 7,
  boot: 8,
  crash: 9,
  pause: 10,
  link: 11,
  fault: 12,
  log: 13,
  check: 14,
} as const
export type Trace = (typeof Trace)[keyof typeof Trace]

const LANDMARKS_FROM = Trace.diskFault

/** Names for printing, by kind. */
export const traceNames: readonly string[] = Object.keys(Trace)

/** No node, or no peer. */
export const NOBODY = -1

export interface TraceEntry {
  readonly order: number
  readonly atMs: number
  readonly kind: Trace
  /** Index of the node, NOBODY for the world itself. */
  readonly node: number
  readonly peer: number
  /** What was sent, the operation's name, the logged values: shown as it is now, not as it was. */
  readonly detail: unknown
}

class Ring {
  readonly order: Float64Array
  readonly atMs: Float64Array
  readonly kind: Uint8Array
  readonly node: Int32Array
  readonly peer: Int32Array
  readonly detail: unknown[]
  next = 0

  constructor(capacity: number) {
    this.order = new Float64Array(capacity)
    this.atMs = new Float64Array(capacity)
    this.kind = new Uint8Array(capacity)
    this.node = new Int32Array(capacity)
    this.peer = new Int32Array(capacity)
    this.detail = new Array(capacity).fill(undefined)
  }

  *entries(): Generator<TraceEntry> {
    for (let slot = 0; slot < this.order.length; slot += 1) {
      const order = this.order[slot] as number
      if (order === 0) continue
      yield {
        order,
        atMs: this.atMs[slot] as number,
        kind: this.kind[slot] as Trace,
        node: this.node[slot] as number,
        peer: this.peer[slot] as number,
        detail: this.detail[slot],
      }
    }
  }
}

/** The last moments of a run, bounded, and the fingerprint of all of it. */
export class Timeline {
  readonly #traffic: Ring
  readonly #landmarks: Ring
  readonly #hash: HistoryHash
  #order = 0

  /** @param entries how many entries of each of the two kinds are kept. */
  constructor(entries: number, hash: HistoryHash) {
    this.#traffic = new Ring(entries)
    this.#landmarks = new Ring(entries)
    this.#hash = hash
  }

  record(kind: Trace, atMs: number, node: number, peer: number, detail: unknown): void {
    const ring = kind < LANDMARKS_FROM ? this.#traffic : this.#landmarks
    const slot = ring.next
    ring.next = slot + 1 === ring.order.length ? 0 : slot + 1
    this.#order += 1
    ring.order[slot] = this.#order
    ring.atMs[slot] = atMs
    ring.kind[slot] = kind
    ring.node[slot] = node
    ring.peer[slot] = peer
    ring.detail[slot] = detail
    const hash = this.#hash
    hash.mixInt((kind << 24) ^ node)
    hash.mixInt(peer)
    hash.mixNumber(atMs)
  }

  /** What is still kept, oldest first; `landmarks` and `traffic` limit each kind. */
  entries(limit: { landmarks: number; traffic: number }): TraceEntry[] {
    const byOrder = (a: TraceEntry, b: TraceEntry) => a.order - b.order
    const traffic = [...this.#traffic.entries()].sort(byOrder).slice(-limit.traffic)
    const landmarks = [...this.#landmarks.entries()].sort(byOrder).slice(-limit.landmarks)
    return [...traffic, ...landmarks].sort(byOrder)
  }
}
