import type { NoChoice } from './chooser.ts'
import type { Wish } from './wish.ts'

/** A request that no machine can take now. */
export interface Waiting {
  readonly wish: Wish
  /** Monotonic. */
  readonly sinceMs: number
  readonly deadlineAtMs: number
  /** What it waits for, as of the last look. */
  reason: NoChoice
  /** Takes a machine for it, or says why there is none. */
  readonly serve: () => NoChoice | undefined
  /** Called once: a look at it found an end. Not called after `leave`. */
  readonly ended: (end: WaitEnd) => void
}

export type WaitEnd = 'chosen' | 'expired' | 'hopeless'

/** So many leave the line at once, and so many more after each pause. */
export const LEAVE_AT_ONCE = 8
export const LEAVE_PAUSE_MS = 20

/**
 * The requests of one route that wait for a machine: first come, first served, bounded, each with a deadline.
 * A look costs one try for all that wish the same, and one for each that wishes something of its own.
 *
 * They leave at a pace. A machine that was woken for hundreds would get all their connections in one moment, and
 * what exceeds its program's accept queue is dropped by its kernel, on both sides' exponential backoff: minutes for
 * a queue of ten. So each use of a machine that ends lets one more go, and a program that ends none gets a few more
 * after each pause.
 */
export class WaitingLine {
  readonly #waiting = new Set<Waiting>()
  #mayLeave = LEAVE_AT_ONCE
  #pauseEndsAtMs = Number.NEGATIVE_INFINITY
  #isHeld = false

  get size(): number {
    return this.#waiting.size
  }

  /** Since the last look somebody waits for the pace alone. */
  get isHeld(): boolean {
    return this.#isHeld
  }

  /** Earliest deadline, or when the next may leave. Infinity: nobody waits. */
  get wakeAtMs(): number {
    let atMs = this.#isHeld ? this.#pauseEndsAtMs : Number.POSITIVE_INFINITY
    for (const { deadlineAtMs } of this.#waiting) atMs = Math.min(atMs, deadlineAtMs)
    return atMs
  }

  join(waiting: Waiting): void {
    this.#waiting.add(waiting)
  }

  /** Its client went away. */
  leave(waiting: Waiting): boolean {
    return this.#waiting.delete(waiting)
  }

  /** The use of a machine ended: one more may leave. */
  released(): void {
    if (this.#mayLeave < LEAVE_AT_ONCE) this.#mayLeave += 1
  }

  /** Something changed: whoever can be served is. */
  look(nowMs: number): void {
    const stuck = new Map<Wish, NoChoice>()
    if (nowMs >= this.#pauseEndsAtMs) this.#mayLeave = LEAVE_AT_ONCE
    this.#isHeld = false
    for (const waiting of this.#waiting) {
      if (waiting.deadlineAtMs <= nowMs) {
        this.#end(waiting, 'expired')
        continue
      }
      if (this.#mayLeave === 0) {
        this.#isHeld = true
        continue
      }
      const already = stuck.get(waiting.wish)
      const outcome = already ?? waiting.serve()
      if (outcome === undefined) {
        if (this.#mayLeave === LEAVE_AT_ONCE) this.#pauseEndsAtMs = nowMs + LEAVE_PAUSE_MS
        this.#mayLeave -= 1
        this.#end(waiting, 'chosen')
        continue
      }
      waiting.reason = outcome
      stuck.set(waiting.wish, outcome)
      if (outcome === 'nobody') this.#end(waiting, 'hopeless')
    }
  }

  #end(waiting: Waiting, end: WaitEnd): void {
    this.#waiting.delete(waiting)
    waiting.ended(end)
  }
}
