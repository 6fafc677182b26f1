import type { Clock } from '#base'

interface Timer {
  readonly atMs: number
  readonly callback: () => void
}

/** Time that leaps to the next timer whenever nothing else is left to do. */
export class LeapingClock implements Clock {
  #nowMs = 1_700_000_000_000
  readonly #timers = new Set<Timer>()
  #isLeaping = false

  nowMs = () => this.#nowMs
  monotonicMs = () => this.#nowMs

  setTimer(callback: () => void, afterMs: number): Disposable {
    const timer = { atMs: this.#nowMs + afterMs, callback }
    this.#timers.add(timer)
    this.#leapWhenIdle()
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) }
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const timer = this.setTimer(resolve, ms)
      signal?.addEventListener('abort', () => {
        timer[Symbol.dispose]()
        reject(signal.reason)
      })
    })
  }

  /** Promises come first; two turns of the loop see them all settle. */
  #leapWhenIdle(): void {
    if (this.#isLeaping) return
    this.#isLeaping = true
    setImmediate(() => setImmediate(() => this.#leap()))
  }

  #leap(): void {
    this.#isLeaping = false
    const [next] = [...this.#timers].toSorted((a, b) => a.atMs - b.atMs)
    if (next === undefined) return
    this.#timers.delete(next)
    this.#nowMs = Math.max(this.#nowMs, next.atMs)
    next.callback()
    if (this.#timers.size > 0) this.#leapWhenIdle()
  }
}
