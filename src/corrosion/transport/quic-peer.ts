import { type Backoff, backoffMs, type Random } from '#base'
import { TransportError } from './errors.ts'
import { Outbox } from './outbox.ts'
import type { QuicLink } from './quic-link.ts'
import type { TransportCounters } from './transport.ts'

const RECONNECT: Backoff = { baseMs: 500, capMs: 15_000 }
/** A connection that lived shorter was no success: the next attempt waits longer still. */
const PROVEN_AFTER_MS = 2_000
/** Sessions that wait for one connection. */
const OPENINGS_MAX = 64

interface Opening {
  readonly resolve: (link: QuicLink) => void
  readonly reject: (error: TransportError) => void
}

/** One address: its connection, if any, what waits for it, and when to try again. */
export class QuicPeer {
  readonly address: string
  readonly host: string
  readonly port: number
  readonly outbox: Outbox
  /** The connection in use, or being made. */
  link: QuicLink | undefined
  readonly #random: Random
  #waiting: Opening[] = []
  #failures = 0
  #retryAtMs = 0
  #lastError: TransportError | undefined

  constructor(init: {
    readonly address: string
    readonly host: string
    readonly port: number
    readonly counters: TransportCounters
    readonly random: Random
  }) {
    this.address = init.address
    this.host = init.host
    this.port = init.port
    this.outbox = new Outbox(init.counters)
    this.#random = init.random
  }

  /** Why it cannot be dialled now; undefined: it can. */
  refusal(nowMs: number): TransportError | undefined {
    return nowMs < this.#retryAtMs ? this.#lastError : undefined
  }

  /** Nothing is known of it that would be missed. */
  isForgettable(nowMs: number): boolean {
    return this.link === undefined && this.outbox.isEmpty && nowMs >= this.#retryAtMs
  }

  /** Takes the link for all that is to be sent. The one before, if any, only ends its sessions. */
  adopt(link: QuicLink): void {
    this.release()
    this.link = link
    link.outbox = this.outbox
    this.#lastError = undefined
    const waiting = this.#waiting
    this.#waiting = []
    for (const { resolve } of waiting) resolve(link)
  }

  /**
   * An open link, once there is one. The caller has dialled.
   * @throws TransportError transport.too_many, or why it cannot be had; the signal's reason
   */
  opened(signal: AbortSignal): Promise<QuicLink> {
    if (this.#waiting.length >= OPENINGS_MAX) return Promise.reject(this.#tooMany())
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting = this.#waiting.filter((one) => one !== opening)
        reject(signal.reason)
      }
      const settled = () => signal.removeEventListener('abort', onAbort)
      const opening: Opening = {
        resolve(link) {
          settled()
          resolve(link)
        },
        reject(error) {
          settled()
          reject(error)
        },
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.#waiting.push(opening)
    })
  }

  #tooMany(): TransportError {
    return new TransportError('transport.too_many', {
      what: 'as many sessions with a peer as there may be wait for its connection',
      values: { peer: this.address, sessions: OPENINGS_MAX },
    })
  }

  /** Gives up the link in use. What waits to be sent waits for the next. */
  release(): void {
    if (this.link !== undefined) this.link.outbox = undefined
    this.link = undefined
  }

  /** The link in use has closed, or could not be made. What waited for it is dropped. */
  lost(error: TransportError, nowMs: number): void {
    const wasProven =
      this.link?.wasOpen === true && nowMs - this.link.startedAtMs >= PROVEN_AFTER_MS
    this.link = undefined
    this.#failures = wasProven ? 0 : this.#failures + 1
    this.#retryAtMs = wasProven ? 0 : nowMs + backoffMs(this.#failures, RECONNECT, this.#random)
    this.#lastError = error
    this.outbox.clear()
    const waiting = this.#waiting
    this.#waiting = []
    for (const { reject } of waiting) reject(error)
  }
}
