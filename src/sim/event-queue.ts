// HOT: two sifts per event of a run. Keys lie in typed arrays, moved as a hole travels; no
// allocation, closure or comparison callback here.
import assert from 'node:assert/strict'

/** Something that happens at an instant. Subclasses carry what `fire` needs. */
export abstract class SimEvent {
  /** World time in ms. Written by the queue. */
  atMs = 0
  isCancelled = false
  abstract fire(): void
}

const ARITY = 4
const COMPACT_AT_LEAST = 1024

/**
 * The future, in order of time, then of insertion: a 4-ary heap (shallower than a binary one, and
 * four children share a cache line). Cancelled events stay until they come up, or until they are
 * more than half of the heap, when one pass drops them all: cancelling is O(1), and timeouts that
 * are always cancelled do not pile up.
 */
export class EventQueue {
  #atMs = new Float64Array(1024)
  #order = new Float64Array(1024)
  readonly #events: (SimEvent | undefined)[] = []
  #size = 0
  #inserted = 0
  #cancelled = 0

  /** Events to come, cancelled ones not counted. */
  get size(): number {
    return this.#size - this.#cancelled
  }

  /** When the next event is due; Infinity when there is none. */
  get nextMs(): number {
    while (this.#size > 0 && (this.#events[0] as SimEvent).isCancelled) this.#dropFirst()
    return this.#size === 0 ? Number.POSITIVE_INFINITY : (this.#atMs[0] as number)
  }

  push(event: SimEvent, atMs: number): void {
    assert(atMs < Number.POSITIVE_INFINITY, 'an event without a time')
    if (this.#size === this.#atMs.length) this.#grow()
    event.atMs = atMs
    this.#inserted += 1
    this.#siftUp(this.#size++, atMs, this.#inserted, event)
  }

  /** @returns the earliest event; undefined when none is left. Skips the cancelled. */
  pop(): SimEvent | undefined {
    if (this.nextMs === Number.POSITIVE_INFINITY) return undefined
    const event = this.#events[0] as SimEvent
    this.#removeFirst()
    return event
  }

  /** Cancels an event that is in the queue. Cancelling it again does nothing. */
  cancel(event: SimEvent): void {
    if (event.isCancelled) return
    event.isCancelled = true
    this.#cancelled += 1
    if (this.#cancelled > COMPACT_AT_LEAST && this.#cancelled * 2 > this.#size) this.#compact()
  }

  #dropFirst(): void {
    this.#removeFirst()
    this.#cancelled -= 1
  }

  #removeFirst(): void {
    this.#size -= 1
    const last = this.#size
    const moved = this.#events[last] as SimEvent
    this.#events[last] = undefined
    if (last === 0) return
    this.#siftDown(0, this.#atMs[last] as number, this.#order[last] as number, moved)
  }

  #siftUp(from: number, atMs: number, order: number, event: SimEvent): void {
    const times = this.#atMs
    const orders = this.#order
    const events = this.#events
    let hole = from
    while (hole > 0) {
      const parent = (hole - 1) >> 2
      const parentMs = times[parent] as number
      if (parentMs < atMs || (parentMs === atMs && (orders[parent] as number) < order)) break
      times[hole] = parentMs
      orders[hole] = orders[parent] as number
      events[hole] = events[parent]
      hole = parent
    }
    times[hole] = atMs
    orders[hole] = order
    events[hole] = event
  }

  #siftDown(from: number, atMs: number, order: number, event: SimEvent): void {
    const times = this.#atMs
    const orders = this.#order
    const events = this.#events
    const size = this.#size
    let hole = from
    for (;;) {
      const first = hole * ARITY + 1
      if (first >= size) break
      const end = Math.min(first + ARITY, size)
      let least = first
      let leastMs = times[first] as number
      for (let child = first + 1; child < end; child += 1) {
        const childMs = times[child] as number
        if (childMs > leastMs) continue
        if (childMs === leastMs && (orders[child] as number) > (orders[least] as number)) continue
        least = child
        leastMs = childMs
      }
      if (leastMs > atMs || (leastMs === atMs && (orders[least] as number) > order)) break
      times[hole] = leastMs
      orders[hole] = orders[least] as number
      events[hole] = events[least]
      hole = least
    }
    times[hole] = atMs
    orders[hole] = order
    events[hole] = event
  }

  #compact(): void {
    let kept = 0
    for (let at = 0; at < this.#size; at += 1) {
      const event = this.#events[at] as SimEvent
      if (event.isCancelled) continue
      this.#atMs[kept] = this.#atMs[at] as number
      this.#order[kept] = this.#order[at] as number
      this.#events[kept] = event
      kept += 1
    }
    this.#events.length = kept
    this.#size = kept
    this.#cancelled = 0
    for (let at = (kept - 2) >> 2; at >= 0; at -= 1) {
      const event = this.#events[at] as SimEvent
      this.#siftDown(at, this.#atMs[at] as number, this.#order[at] as number, event)
    }
  }

  #grow(): void {
    const atMs = new Float64Array(this.#atMs.length * 2)
    const order = new Float64Array(atMs.length)
    atMs.set(this.#atMs)
    order.set(this.#order)
    this.#atMs = atMs
    this.#order = order
  }
}
