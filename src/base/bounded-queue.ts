import assert from 'node:assert/strict'

/**
 * A first-in, first-out queue that never grows beyond its bound. Full is an answer: `offer` gives
 * false, and the caller refuses, drops or stops reading.
 *
 * A ring: `#head` is where the oldest item is, and `#size` items follow it, around the end.
 */
export class BoundedQueue<T> {
  readonly capacity: number
  readonly #slots: (T | undefined)[]
  #head = 0
  #size = 0
  #refused = 0
  #takers: ((item: T) => void)[] = []

  constructor(capacity: number) {
    assert(Number.isInteger(capacity) && capacity > 0, 'a queue holds at least one item')
    this.capacity = capacity
    this.#slots = new Array<T | undefined>(capacity)
  }

  /** Items that wait. */
  get size(): number {
    return this.#size
  }

  /** Items that `offer` has refused since the queue was made: a figure to export. */
  get refused(): number {
    return this.#refused
  }

  /** False when the queue is full; the item is then not in it. */
  offer(item: T): boolean {
    const taker = this.#takers.shift()
    if (taker !== undefined) {
      taker(item)
      return true
    }
    if (this.#size === this.capacity) {
      this.#refused += 1
      return false
    }
    this.#slots[(this.#head + this.#size) % this.capacity] = item
    this.#size += 1
    return true
  }

  /** The oldest item, out of the queue; undefined when it is empty. */
  poll(): T | undefined {
    if (this.#size === 0) return undefined
    const item = this.#slots[this.#head]
    this.#slots[this.#head] = undefined // the queue keeps nothing alive that it gave away
    this.#head = (this.#head + 1) % this.capacity
    this.#size -= 1
    return item
  }

  /**
   * The oldest item; waits for one when the queue is empty. Waiting takers are served in order; at
   * most as many may wait as the queue holds items. @throws the signal's reason.
   */
  take(signal?: AbortSignal): Promise<T> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    if (this.#size > 0) return Promise.resolve(this.poll() as T)
    assert(this.#takers.length < this.capacity, 'more takers wait than the queue holds items')
    return new Promise((resolve, reject) => {
      const taker = (item: T) => {
        signal?.removeEventListener('abort', onAbort)
        resolve(item)
      }
      const onAbort = () => {
        this.#takers = this.#takers.filter((other) => other !== taker)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#takers.push(taker)
    })
  }
}
