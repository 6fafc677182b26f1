import type { Clock } from '#base'

const COUNTER_MASK = 0xfn
const MAX_DRIFT = ntp64(300)

/** Milliseconds as NTP64: seconds in the high 32 bits, their fraction in the low ones. */
export function ntp64(ms: number): bigint {
  const seconds = Math.floor(ms / 1_000)
  const fraction = Math.floor(((ms - seconds * 1_000) / 1_000) * 2 ** 32)
  return (BigInt(seconds) << 32n) | BigInt(fraction)
}

/** @returns milliseconds since the epoch */
export function ntp64Ms(ts: bigint): number {
  return Number(ts >> 32n) * 1_000 + (Number(ts & 0xffffffffn) / 2 ** 32) * 1_000
}

/**
 * A hybrid logical clock: never runs backwards, and is never behind what it has seen of others, unless they
 * are more than 300 ms ahead. For lag figures only: no conflict is decided by it.
 * Source: Kulkarni et al. 2014; NTP64 with a counter in the low four bits, as uhlc has it.
 */
export class HybridClock {
  readonly #clock: Clock
  #last = 0n

  constructor(clock: Clock) {
    this.#clock = clock
  }

  now(): bigint {
    const wall = ntp64(this.#clock.nowMs()) & ~COUNTER_MASK
    this.#last = wall > this.#last ? wall : this.#last + 1n
    return this.#last
  }

  /** Takes note of another node's time. False when that is too far ahead to be followed. */
  observe(ts: bigint): boolean {
    if (ts <= this.#last) return true
    if (ts > ntp64(this.#clock.nowMs()) + MAX_DRIFT) return false
    this.#last = ts
    return true
  }
}
