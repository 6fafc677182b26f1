import assert from 'node:assert/strict'
import type { Clock } from '#base'

export interface Rate {
  /** Tokens that come back each second. */
  readonly perSecond: number
  /** Tokens of a bucket that nobody has touched. */
  readonly burst: number
}

interface Bucket {
  tokens: number
  filledAtMs: number
}

/**
 * Token buckets by name, least recently used dropped first: a dropped bucket comes back full, so the
 * bound errs in favour of clients. Time is monotonic.
 */
export class TokenBuckets {
  readonly #clock: Clock
  readonly #bucketsMax: number
  readonly #buckets = new Map<string, Bucket>()

  constructor(clock: Clock, bucketsMax: number) {
    assert(bucketsMax > 0, 'at least one bucket')
    this.#clock = clock
    this.#bucketsMax = bucketsMax
  }

  /** Takes a token; gives the seconds until there is one, 0 when it was there. */
  take(name: string, { perSecond, burst }: Rate): number {
    const nowMs = this.#clock.monotonicMs()
    const bucket = this.#buckets.get(name) ?? { tokens: burst, filledAtMs: nowMs }
    const gained = ((nowMs - bucket.filledAtMs) / 1000) * perSecond
    bucket.tokens = Math.min(burst, bucket.tokens + gained)
    bucket.filledAtMs = nowMs
    const waitS = bucket.tokens >= 1 ? 0 : (1 - bucket.tokens) / perSecond
    if (waitS === 0) bucket.tokens -= 1
    this.#buckets.delete(name)
    this.#buckets.set(name, bucket)
    this.#dropOldest()
    return waitS
  }

  get size(): number {
    return this.#buckets.size
  }

  #dropOldest(): void {
    for (const name of this.#buckets.keys()) {
      if (this.#buckets.size <= this.#bucketsMax) return
      this.#buckets.delete(name)
    }
  }
}
