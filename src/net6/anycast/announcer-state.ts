/**
 * When a host announces its anycast prefixes. No I/O: the outcome of each health check goes in, what BIRD is
 * to tell comes out.
 *
 *   silent ── healthy for HOLD_MS ──▶ announced ── drain ──▶ draining ── after drainMs ──▶ drained
 *      ▲                                 │                       │                            │
 *      └── FAILURES_MAX checks failed ───┴───────────────────────┘          undrain ──▶ silent
 */

/** Two, so that one lost packet does not move a continent's traffic. */
export const FAILURES_MAX = 2
export const CHECK_EVERY_MS = 250
export const CHECK_DEADLINE_MS = 200
/** A proxy that comes and goes must not take its routes with it: flapping is damped by others for an hour. */
export const HOLD_MS = 3_000
/** Time for connections to end by themselves; new ones go elsewhere meanwhile. */
export const DRAIN_MS = 30_000
/** From the death of the proxy to the withdrawal, at the worst. */
export const WITHDRAW_MS_MAX = FAILURES_MAX * (CHECK_EVERY_MS + CHECK_DEADLINE_MS)

/** What neighbours are told: nothing, the prefixes, or the prefixes with GRACEFUL_SHUTDOWN. */
export type Announcement = 'nothing' | 'prefixes' | 'draining'

export type AnnouncerPhase = 'silent' | 'announced' | 'draining' | 'drained'

export class AnnouncerState {
  readonly #drainMs: number
  #phase: AnnouncerPhase = 'silent'
  #failures = 0
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
  checked(isHealthy: boolean, nowMs: number): void {
    if (isHealthy) {
      this.#failures = 0
      this.#healthySinceMs ??= nowMs
    } else {
      this.#failures += 1
      this.#healthySinceMs = undefined
    }
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

  #move(nowMs: number): void {
    const isDead = this.#failures >= FAILURES_MAX
    if (this.#phase === 'announced' && isDead) this.#phase = 'silent'
    else if (this.#phase === 'draining' && (isDead || nowMs >= this.#drainEndMs)) {
      this.#phase = 'drained'
    } else if (this.#phase === 'silent' && this.#healthySinceMs !== undefined) {
      if (nowMs - this.#healthySinceMs >= HOLD_MS) this.#phase = 'announced'
    }
  }
}
