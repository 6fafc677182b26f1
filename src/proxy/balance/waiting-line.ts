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

/**
 * The requests of one route that wait for a machine: first come, first served, bounded, each with a deadline.
 * A look costs one try for all that wish the same, and one for each that wishes something of its own.
 */
export class WaitingLine {
  readonly #waiting = new Set<Waiting>()

  get size(): number {
    return this.#waiting.size
  }

  /** Earliest deadline. Infinity: nobody waits. */
  get wakeAtMs(): number {
    let atMs = Number.POSITIVE_INFINITY
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

  /** Something changed: whoever can be served is. */
  look(nowMs: number): void {
    const stuck = new Map<Wish, NoChoice>()
    for (const waiting of this.#waiting) {
      if (waiting.deadlineAtMs <= nowMs) {
        this.#end(waiting, 'expired')
        continue
      }
      const already = stuck.get(waiting.wish)
      const outcome = already ?? waiting.serve()
      if (outcome === undefined) {
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
