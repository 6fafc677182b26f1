import type { Clock } from '#base'

const CALLS_MAX = 10_000
/** A caller whose connection broke comes again within seconds. */
const REMEMBERED_MS = 30_000

interface Known {
  readonly answer: Promise<unknown>
  /** Infinity: not answered yet. */
  untilMs: number
}

/**
 * The answers of calls by their request ids, so that a call which is sent again after its connection
 * broke gets the answer of the first, and nothing runs twice. In memory: after a restart of this process
 * it knows none, which callers notice by its boot id.
 */
export class AnsweredCalls {
  readonly #clock: Clock
  readonly #calls = new Map<string, Known>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** What `run` gives, of this call or of the one before it with the same id. */
  once(id: string, run: () => Promise<unknown>): Promise<unknown> {
    const known = this.#calls.get(id)
    if (known !== undefined) return known.answer
    this.#forget()
    const answer = run()
    const entry: Known = { answer, untilMs: Infinity }
    this.#calls.set(id, entry)
    const settled = () => {
      entry.untilMs = this.#clock.monotonicMs() + REMEMBERED_MS
    }
    answer.then(settled, settled)
    return answer
  }

  /** Those that run are as many as there are connections; of the others the oldest go first. */
  #forget(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const [id, { untilMs }] of this.#calls) {
      if (untilMs === Infinity) continue
      if (untilMs > nowMs && this.#calls.size < CALLS_MAX) return
      this.#calls.delete(id)
    }
  }
}
