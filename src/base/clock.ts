import { setTimeout as delay } from 'node:timers/promises'

/**
 * Time, injected: cores take `nowMs` as an argument, shells take a Clock, and only the simulator
 * and `systemClock` make one. All figures are milliseconds.
 */
export interface Clock {
  /** Wall-clock time since the Unix epoch. May jump; for timestamps that people or peers read. */
  nowMs(): number
  /** Time since some fixed point of this process. Never jumps; for deadlines and durations. */
  monotonicMs(): number
  /** Calls `callback` once after `afterMs`. Dispose to cancel; disposing later does nothing. */
  setTimer(callback: () => void, afterMs: number): Disposable
  /** Resolves after `ms`. @throws the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** The machine's own clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(callback, afterMs) {
    const timer = setTimeout(callback, afterMs)
    return { [Symbol.dispose]: () => clearTimeout(timer) }
  },
  async sleep(ms, signal) {
    signal?.throwIfAborted()
    try {
      await delay(ms, undefined, signal === undefined ? {} : { signal })
    } catch (error) {
      signal?.throwIfAborted() // the caller's reason says more than "The operation was aborted"
      throw error
    }
  },
}
