import type { SwimOptions } from './swim-options.ts'

/** Feeds in a row that named nobody new, or were lost, after which a node has joined. */
const BARREN_FEEDS_MAX = 12

/** When a node asks another for the members it knows: often while it joins, seldom after. */
export class AnnounceSchedule {
  readonly #options: SwimOptions
  #dueAtMs: number
  #barrenFeedsLeft = 0

  constructor(options: SwimOptions, dueAtMs: number) {
    this.#options = options
    this.#dueAtMs = dueAtMs
  }

  get dueAtMs(): number {
    return this.#dueAtMs
  }

  /** It begins to join, or a feed named somebody new. */
  joinSoon(nowMs: number): void {
    this.#barrenFeedsLeft = BARREN_FEEDS_MAX
    this.#dueAtMs = Math.min(this.#dueAtMs, nowMs + this.#options.joinPeriodMs)
  }

  /** It asks now. */
  announced(nowMs: number): void {
    const { announcePeriodMs, joinPeriodMs } = this.#options
    const isJoining = this.#barrenFeedsLeft > 0
    if (isJoining) this.#barrenFeedsLeft -= 1
    this.#dueAtMs = nowMs + (isJoining ? joinPeriodMs : announcePeriodMs)
  }
}
