/** Throws, best by node:assert, when the promise is broken. */
export type Check = () => void

/** A promise about the run, with the sentence that a failure shows. */
export interface Promised {
  readonly name: string
  readonly check: Check
}

interface Invariant extends Promised {
  readonly everyEvents: number
  countdown: number
}

/** What must hold: invariants while the world runs, final checks when it has ended. */
export class Checks {
  readonly #invariants: Invariant[] = []
  readonly #finals: Promised[] = []

  addInvariant(name: string, check: Check, everyEvents: number): void {
    this.#invariants.push({ name, check, everyEvents, countdown: everyEvents })
  }

  addFinal(name: string, check: Check): void {
    this.#finals.push({ name, check })
  }

  get hasInvariants(): boolean {
    return this.#invariants.length > 0
  }

  /** After an event. @throws BrokenPromise */
  afterEvent(): void {
    for (const invariant of this.#invariants) {
      invariant.countdown -= 1
      if (invariant.countdown > 0) continue
      invariant.countdown = invariant.everyEvents
      hold(invariant)
    }
  }

  /** When a stretch of the run ends: also those that are not due yet. @throws BrokenPromise */
  afterRun(): void {
    for (const invariant of this.#invariants) hold(invariant)
  }

  /** @throws BrokenPromise */
  atEnd(): void {
    for (const final of this.#finals) hold(final)
  }
}

/** Carries the sentence of a check to the place that knows seed and timeline. */
export class BrokenPromise extends Error {
  readonly promise: string

  constructor(promise: string, cause: unknown) {
    super(`broken: ${promise}`, { cause })
    this.promise = promise
  }
}

function hold({ name, check }: Promised): void {
  try {
    check()
  } catch (error) {
    throw new BrokenPromise(name, error)
  }
}
