/**
 * When a host announces its anycast prefixes. No I/O: the outcome of each health check goes in, what BIRD is
 * to tell comes out.
 *
 *   silent ── healthy for HOLD_MS ──▶ announced ── drain ──▶ draining ── after drainMs ──▶ drained
 *      ▲                                 │                       │                            │
 *      └──── dead, or slow for long ─────┴───────────────────────┘          undrain ──▶ silent
 */

/** `dead`: nobody is there, or it says that it is not well. `slow`: no answer came in time. */
export type CheckOutcome = 'well' | 'dead' | 'slow'

/** Two, so that a proxy that is just being replaced does not move a continent's traffic. */
export const DEAD_MAX = 2
/** A host that is busy answers late: to withdraw it at once would hand its load to the next one. */
export const SLOW_MAX = 6
export const CHECK_EVERY_MS = 250
export const CHECK_DEADLINE_MS = 200
/** A proxy that comes and goes must not take its routes with it: flapping is damped by others for an hour. */
export const HOLD_MS = 3_000
/** Time for connections to end by themselves; new ones go elsewhere meanwhile. */
export const DRAIN_MS = 30_000
/** From the death of the proxy to the withdrawal, at the worst. */
export const WITHDRAW_MS_MAX = DEAD_MAX * (CHECK_EVERY_MS + CHECK_DEADLINE_MS)
/** The same of a proxy that takes connections and says nothing. */
export const WITHDRAW_SLOW_MS_MAX = SLOW_MAX * (CHECK_EVERY_MS + CHECK_DEADLINE_MS)

/** What neighbours are told: nothing, the prefixes, or the prefixes with GRACEFUL_SHUTDOWN. */
export type Announcement = 'nothing' | 'prefixes' | 'draining'

export type AnnouncerPhase = 'silent' | 'announced' | 'draining' | 'drained'

export class AnnouncerState {
  readonly #drainMs: number
  #phase: AnnouncerPhase = 'silent'
  /** Since it was well. */
  #dead = 0
  #slow = 0
  #healthySinceMs: number | undefined
  #drainEndMs = 0

  constructor({ drainMs = DRAIN_MS }: { readonly drainMs?: number } = {}) {
    this.#drainMs = drainMs
  }

  get phase(): AnnouncerPhase {
    return this.#phase
  }

  get announcement(): Announcement {
    if (this.#phase === 'announced') return 'prefixes'
    return this.#phase === 'draining' ? 'draining' : 'nothing'
  }

  /** What another process began is gone on with, so that a daemon that is replaced withdraws nothing. */
  adopt(announcement: Announcement, nowMs: number): void {
    if (announcement === 'nothing' || this.#phase !== 'silent') return
    this.#phase = 'announced'
    if (announcement === 'draining') this.drain(nowMs)
  }

  /** The local proxy was asked whether it is well. */
  checked(outcome: CheckOutcome, nowMs: number): void {
    if (outcome === 'well') {
      this.#dead = 0
      this.#slow = 0
      this.#healthySinceMs ??= nowMs
    } else if (outcome === 'dead') this.#dead += 1
    else this.#slow += 1
    if (outcome === 'dead' || this.#isDead) this.#healthySinceMs = undefined
    this.#move(nowMs)
  }

  drain(nowMs: number): void {
    if (this.#phase === 'announced') {
      this.#phase = 'draining'
      this.#drainEndMs = nowMs + this.#drainMs
    } else if (this.#phase === 'silent') this.#phase = 'drained'
  }

  undrain(nowMs: number): void {
    if (this.#phase === 'draining') this.#phase = 'announced'
    else if (this.#phase === 'drained') this.#phase = 'silent'
    this.#move(nowMs)
  }

  get #isDead(): boolean {
    return this.#dead >= DEAD_MAX || this.#dead + this.#slow >= SLOW_MAX
  }

  #move(nowMs: number): void {
    const isDead = this.#isDead
    if (this.#phase === 'announced' && isDead) this.#phase = 'silent'
    else if (this.#phase === 'draining' && (isDead || nowMs >= this.#drainEndMs)) {
      this.#phase = 'drained'
    } else if (this.#phase === 'silent' && this.#healthySinceMs !== undefined) {
      if (nowMs - this.#healthySinceMs >= HOLD_MS) this.#phase = 'announced'
    }
  }
}
