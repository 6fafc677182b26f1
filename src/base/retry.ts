import { type Clock, systemClock } from './clock.ts'
import { startDeadline } from './deadline.ts'
import { type Random, systemRandom } from './random.ts'

export interface Backoff {
  /** Bound of the first wait. */
  readonly baseMs: number
  /** Bound of every wait. */
  readonly capMs: number
}

/**
 * How long to wait before the next attempt: full jitter, so that hosts that failed at one instant do
 * not all come back at one instant. Source: M. Brooker, "Exponential Backoff And Jitter", 2015.
 *
 * @param attempt 0 for the wait after the first failure.
 */
export function backoffMs(attempt: number, { baseMs, capMs }: Backoff, random: Random): number {
  return random.next() * Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30))
}

export interface RetryOptions extends Backoff {
  readonly operation: string
  /** Covers all attempts and the waits between them. */
  readonly deadlineMs: number
  /** True: another attempt may succeed. */
  readonly isTransient: (error: unknown) => boolean
  readonly signal?: AbortSignal | undefined
  readonly clock?: Clock
  readonly random?: Random
}

/**
 * Calls until it succeeds, fails for good, or time is up.
 *
 * @throws the last error of `call`, which says more than "aborted" would.
 */
export async function retry<T>(
  call: (signal: AbortSignal) => Promise<T>,
  options: RetryOptions,
): Promise<T> {
  const { clock = systemClock, random = systemRandom, isTransient, signal } = options
  using deadline = startDeadline(options.operation, options.deadlineMs, { signal, clock })
  deadline.signal.throwIfAborted()
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await call(deadline.signal)
    } catch (error) {
      if (deadline.signal.aborted || !isTransient(error)) throw error
      const waited = clock.sleep(backoffMs(attempt, options, random), deadline.signal)
      await waited.catch(() => {
        throw error
      })
    }
  }
}
