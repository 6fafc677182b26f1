const WINDOW_MS = 10_000
/** Streams that were begun for nothing: reset by the peer, or refused. */
const RESETS_MAX = 200
/** Frames that bring nothing: PING, SETTINGS, empty DATA, what belongs to no stream, and what nothing explains. */
const IDLE_FRAMES_MAX = 1000
/** A window of its own, a priority, and one thing more that we do not know. */
const EXTRAS_A_STREAM = 4
/** Of a piece that went whole: who reads it gives back two windows, perhaps in two parts. */
const EXTRAS_A_PIECE = 4
/** Of a piece that windows cut, an update is for a kilobyte: who opens them byte by byte has us send bytes. */
const BYTES_AN_UPDATE_BITS = 10
/** Of frames that wait to be explained. */
const EXTRAS_MAX = 100_000

/** So many in 10 s, then it is spent. */
class Budget {
  readonly #max: number
  #count = 0
  #startMs = Number.NEGATIVE_INFINITY

  constructor(max: number) {
    this.#max = max
  }

  /** @returns false: that was one too many */
  take(nowMs: number): boolean {
    if (nowMs - this.#startMs > WINDOW_MS) {
      this.#startMs = nowMs
      this.#count = 0
    }
    this.#count += 1
    return this.#count <= this.#max
  }
}

/** What a peer did too much of. */
export type Abuse = 'h2-resets' | 'h2-flood'

/**
 * What a peer may have us do for nothing (RFC 9113, section 10.5). WINDOW_UPDATE, PRIORITY and frames of other types cost
 * nothing as long as streams and what was sent explain them.
 */
export class PeerBudget {
  readonly #spent: (abuse: Abuse) => void
  readonly #resets = new Budget(RESETS_MAX)
  readonly #idleFrames = new Budget(IDLE_FRAMES_MAX)
  #extras = 0
  /** When what is counted next came. */
  nowMs = 0

  /** @param spent told of each that was one too many; so are all that follow */
  constructor(spent: (abuse: Abuse) => void) {
    this.#spent = spent
  }

  reset(): void {
    if (!this.#resets.take(this.nowMs)) this.#spent('h2-resets')
  }

  /** @returns false: it was one too many */
  idleFrame(): boolean {
    const isFine = this.#idleFrames.take(this.nowMs)
    if (!isFine) this.#spent('h2-flood')
    return isFine
  }

  /** @returns false: it was one too many */
  extraFrame(): boolean {
    if (this.#extras === 0) return this.idleFrame()
    this.#extras = Math.min(this.#extras, EXTRAS_MAX) - 1
    return true
  }

  streamBegan(): void {
    this.#extras += EXTRAS_A_STREAM
  }

  /** So many of so many bytes of a body. HOT. */
  sent(taken: number, wanted: number): void {
    this.#extras += taken === wanted ? EXTRAS_A_PIECE : taken >>> BYTES_AN_UPDATE_BITS
  }
}
