/** Keys that are remembered; the longest unused go first. */
const KEYS_MAX = 100_000

interface Bucket {
  tokens: number
  filledMs: number
}

/** So much at once and so much a second, for each key. */
export class TokenBuckets {
  readonly #perSecond: number
  readonly #burst: number
  readonly #buckets = new Map<string, Bucket>()

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond
    this.#burst = burst
  }

  /** @param nowMs monotonic. @returns false: there is none left */
  take(key: string, nowMs: number): boolean {
    const bucket = this.#buckets.get(key) ?? { tokens: this.#burst, filledMs: nowMs }
    this.#buckets.delete(key)
    if (this.#buckets.size >= KEYS_MAX) {
      for (const oldest of this.#buckets.keys()) {
        this.#buckets.delete(oldest)
        break
      }
    }
    this.#buckets.set(key, bucket) // to the end: recently used
    const gained = ((nowMs - bucket.filledMs) * this.#perSecond) / 1000
    bucket.tokens = Math.min(this.#burst, bucket.tokens + Math.max(0, gained))
    bucket.filledMs = nowMs
    if (bucket.tokens < 1) return false
    bucket.tokens -= 1
    return true
  }
}
