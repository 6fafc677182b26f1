const WINDOW_MS = 10_000

/** So many in 10 s, then it is spent. */
export class FrameBudget {
  readonly #max: number
  #count = 0
  #startMs = Number.NEGATIVE_INFINITY

  constructor(max: number) {
    this.#max = max
  }

  /** @returns false: that was one too many */
  take(nowMs: number): boolean {
    if (nowMs - this.#startMs > WINDOW_MS) {
      this.#startMs = nowMs
      this.#count = 0
    }
    this.#count += 1
    return this.#count <= this.#max
  }
}
