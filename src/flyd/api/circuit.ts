import { type Backoff, backoffMs, type Random } from '#base'

const FAILURES_MAX = 3
/** Short: a host that comes back must not stay shut out. */
const BACKOFF: Backoff = { baseMs: 1_000, capMs: 10_000 }
const CLOSED_MS_MIN = 250

/**
 * Whether a host is worth a call. After some failures in a row calls are refused at once; when the time
 * is up one call goes through to see, and the others are refused until it has ended. Times are monotonic
 * milliseconds.
 */
export class Circuit {
  readonly #random: Random
  #failures = 0
  #refusesUntilMs = 0
  #isProbing = false

  constructor(random: Random) {
    this.#random = random
  }

  /** Whether calls are refused now, or would be without a probe. */
  get isOpen(): boolean {
    return this.#failures >= FAILURES_MAX
  }

  /** May a call go out now? Then `succeeded`, `failed` or `gaveUp` tells how it ended. */
  admit(nowMs: number): boolean {
    if (!this.isOpen) return true
    if (this.#isProbing || nowMs < this.#refusesUntilMs) return false
    this.#isProbing = true
    return true
  }

  succeeded(): void {
    this.#failures = 0
    this.#isProbing = false
  }

  /** The host was not reached, or fell silent. */
  failed(nowMs: number): void {
    this.#failures += 1
    this.#isProbing = false
    const waitMs = backoffMs(this.#failures - FAILURES_MAX, BACKOFF, this.#random)
    this.#refusesUntilMs = nowMs + CLOSED_MS_MIN + Math.max(0, waitMs)
  }

  /** The caller went away before anything was learned. */
  gaveUp(): void {
    this.#isProbing = false
  }
}
