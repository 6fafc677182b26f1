import type { RequestHead } from '../http1/request-head.ts'
import type { Decision } from '../route.ts'
import type { Engine } from './engine.ts'
import type { HttpFacts } from './request-facts.ts'

/** Who waits for a decision. */
export interface RouteAsker {
  /** @param head the request's, while it holds; undefined: the answer came late, others have been parsed since */
  decided(decision: Decision, head: RequestHead | undefined): void
  /** The router failed. */
  undecided(): void
}

/** Where a request goes: asked of the router, whose answer may come late, and may not be needed by then. */
export class RouteQuestion {
  readonly #engine: Engine
  readonly #asker: RouteAsker
  /** Counts questions: an answer that comes late may be to an earlier one. */
  #asked = 0

  constructor(engine: Engine, asker: RouteAsker) {
    this.#engine = engine
    this.#asker = asker
  }

  /** HOT. */
  ask(facts: HttpFacts, head: RequestHead): void {
    let decision: Decision | Promise<Decision>
    try {
      decision = this.#engine.router.route(facts)
    } catch (error) {
      this.#failed(error)
      this.#asker.undecided()
      return
    }
    this.follow(decision, head)
  }

  /** The same, where the router has answered already. */
  follow(decision: Decision | Promise<Decision>, head: RequestHead | undefined): void {
    this.#asked += 1
    if (!(decision instanceof Promise)) {
      this.#asker.decided(decision, head)
      return
    }
    this.#engine.loop.letNodeRun()
    const asked = this.#asked
    decision.then(
      (decided) => {
        if (asked === this.#asked) this.#asker.decided(decided, undefined)
        else releaseUnused(decided)
      },
      (error: unknown) => {
        this.#failed(error)
        if (asked === this.#asked) this.#asker.undecided()
      },
    )
  }

  /** Nobody waits any more. */
  drop(): void {
    this.#asked += 1
  }

  #failed(error: unknown): void {
    this.#engine.log.error({ err: error }, 'the router failed')
  }
}

/** A machine that was woken for somebody who has gone: its lease is given back. */
function releaseUnused(decision: Decision): void {
  if (decision.kind !== 'machine' && decision.kind !== 'remote') return
  decision.lease.release('client-gone', { sent: 0, received: 0 })
}
