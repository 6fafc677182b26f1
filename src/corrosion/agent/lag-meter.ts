const WINDOW_MS = 120_000
const SAMPLES_MAX = 4_096

/** How long changes of others took from their commit to here, over the last two minutes. */
export class LagMeter {
  #samples: { atMs: number; seconds: number }[] = []

  add(seconds: number, nowMs: number): void {
    this.#samples.push({ atMs: nowMs, seconds })
    if (this.#samples.length > 2 * SAMPLES_MAX) this.#samples = this.#samples.slice(-SAMPLES_MAX)
  }

  /** Seconds; undefined without samples. */
  quantile(ratio: number, nowMs: number): number | undefined {
    const fresh = this.#samples.filter(({ atMs }) => nowMs - atMs <= WINDOW_MS)
    if (fresh.length === 0) return undefined
    const sorted = fresh.map(({ seconds }) => seconds).sort((a, b) => a - b)
    return sorted[Math.min(sorted.length - 1, Math.floor(ratio * sorted.length))]
  }
}
