import { type Clock, systemClock } from '#base'
import { isAlive, type ProcessIdentity } from '#supervise'

const LOOK_MS = 500
const FIRST_LOOK_MS = 2

/**
 * Tells the end of a process that need not be our child. Looks now and then, and at once when told to: a
 * channel that broke is the first sign.
 */
export class ProcessEnd {
  readonly ended: Promise<void>
  readonly #identity: ProcessIdentity
  readonly #resolve: () => void
  readonly #clock: Clock
  #timer: Disposable | undefined
  #waitMs = LOOK_MS

  constructor(identity: ProcessIdentity, clock: Clock = systemClock) {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.ended = promise
    this.#identity = identity
    this.#resolve = resolve
    this.#clock = clock
    this.#look()
  }

  /** Something says that it is ending: looks now, and soon again. */
  expect(): void {
    this.#waitMs = FIRST_LOOK_MS
    this.#look()
  }

  #look(): void {
    this.release()
    if (isAlive(this.#identity)) this.#lookLater()
    else this.#resolve()
  }

  #lookLater(): void {
    this.#timer = this.#clock.setTimer(() => this.#look(), this.#waitMs)
    this.#waitMs = Math.min(2 * this.#waitMs, LOOK_MS)
  }

  /** Waits for it. @throws the signal's reason */
  async within(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    void this.ended.then(resolve)
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** No more looks: nobody wants to know. */
  release(): void {
    this.#timer?.[Symbol.dispose]()
  }
}
