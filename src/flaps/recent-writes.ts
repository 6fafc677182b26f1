import type { Clock } from '#base'

/** Longer than a row usually takes to every replica. */
const RECENT_MS = 15_000
const RECENT_MAX = 2_000

/**
 * What this instance has changed lately, so that whoever wrote through it reads what they wrote: these
 * are asked from their host, not from the rows. Forgetting it costs nothing but freshness.
 */
export class RecentWrites {
  readonly #clock: Clock
  readonly #writes = new Map<string, { hostId: string; appId: string; untilMs: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  note(id: string, where: { hostId: string; appId: string }): void {
    this.#writes.delete(id)
    const { hostId, appId } = where
    this.#writes.set(id, { hostId, appId, untilMs: this.#clock.monotonicMs() + RECENT_MS })
    this.#dropOld()
  }

  whereIs(id: string): { id: string; hostId: string; appId: string } | undefined {
    this.#dropOld()
    const write = this.#writes.get(id)
    return write === undefined ? undefined : { id, hostId: write.hostId, appId: write.appId }
  }

  /** Ids and hosts of an app's recent writes. */
  ofApp(appId: string): { id: string; hostId: string }[] {
    this.#dropOld()
    return [...this.#writes].flatMap(([id, write]) =>
      write.appId === appId ? [{ id, hostId: write.hostId }] : [],
    )
  }

  #dropOld(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const [id, { untilMs }] of this.#writes) {
      if (untilMs > nowMs && this.#writes.size <= RECENT_MAX) return
      this.#writes.delete(id)
    }
  }
}
