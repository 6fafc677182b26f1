import assert from 'node:assert/strict'
import type { Random } from '#base'
import { MacaroonError } from './errors.ts'
import type { ExchangeAnswer } from './exchange.ts'
import { sha256 } from './hmac.ts'
import type { Macaroon } from './macaroon.ts'

const SECRET_BYTES = 16

/**
 * Discharges that a third party will give later: when its user has agreed, or when it has found
 * out. Two secrets lead to each: the user's, to decide, and the client's, to poll. Only digests of
 * them are kept. A final answer is read once; then both secrets are gone.
 *
 * No clock of its own: the caller passes milliseconds of a monotonic one.
 */
export class PendingDischarges {
  readonly #entriesMax: number
  readonly #ttlMs: number
  readonly #random: Random
  readonly #byPoll = new Map<string, Pending>()
  readonly #byUser = new Map<string, Pending>()

  constructor(options: { entriesMax: number; ttlMs: number; random: Random }) {
    assert(options.entriesMax > 0 && options.ttlMs > 0, 'pending discharges without room or time')
    this.#entriesMax = options.entriesMax
    this.#ttlMs = options.ttlMs
    this.#random = options.random
  }

  get count(): number {
    return this.#byPoll.size
  }

  /**
   * @returns secrets for addresses, as hex.
   * @throws MacaroonError macaroon.exchange_full: answer 503, the client tries again.
   */
  begin(sealedTicket: Uint8Array, nowMs: number): { userSecret: string; pollSecret: string } {
    this.#expire(nowMs)
    if (this.#byPoll.size >= this.#entriesMax) {
      throw new MacaroonError('macaroon.exchange_full', {
        what: 'too many discharges are waiting',
        values: { limit: this.#entriesMax },
        fix: 'try again in a minute',
      })
    }
    const [userSecret, pollSecret] = [this.#secret(), this.#secret()]
    const pending: Pending = {
      sealedTicket,
      userKey: digest('u', userSecret),
      pollKey: digest('p', pollSecret),
      expiresAtMs: nowMs + this.#ttlMs,
    }
    this.#byUser.set(pending.userKey, pending)
    this.#byPoll.set(pending.pollKey, pending)
    return { userSecret, pollSecret }
  }

  /** The ticket that a user is to decide on; undefined: unknown, over, or decided. */
  ticketFor(userSecret: string, nowMs: number): Uint8Array | undefined {
    this.#expire(nowMs)
    const pending = this.#byUser.get(digest('u', userSecret))
    return pending?.outcome === undefined ? pending?.sealedTicket : undefined
  }

  /** The user agreed. False: nothing was waiting for it, or it was decided before. */
  discharge(userSecret: string, discharge: Macaroon, nowMs: number): boolean {
    return this.#decide(userSecret, { type: 'discharge', discharge }, nowMs)
  }

  /** The user refused, or could not be authenticated; the client reads `error` once. */
  abort(userSecret: string, error: string, nowMs: number): boolean {
    return this.#decide(userSecret, { type: 'error', error }, nowMs)
  }

  /** What to answer to a poll; undefined: 404. A final answer removes the entry. */
  poll(pollSecret: string, nowMs: number): ExchangeAnswer | undefined {
    this.#expire(nowMs)
    const pending = this.#byPoll.get(digest('p', pollSecret))
    if (pending === undefined) return undefined
    if (pending.outcome === undefined) return { type: 'notReady' }
    this.#remove(pending)
    return pending.outcome
  }

  #decide(userSecret: string, outcome: ExchangeAnswer, nowMs: number): boolean {
    if (this.ticketFor(userSecret, nowMs) === undefined) return false
    const pending = this.#byUser.get(digest('u', userSecret))
    assert(pending !== undefined, 'a ticket without its entry')
    pending.outcome = outcome
    return true
  }

  /** Entries have one time to live, so the oldest are first. */
  #expire(nowMs: number): void {
    for (const pending of this.#byPoll.values()) {
      if (pending.expiresAtMs > nowMs) return
      this.#remove(pending)
    }
  }

  #remove({ userKey, pollKey }: Pending): void {
    this.#byUser.delete(userKey)
    this.#byPoll.delete(pollKey)
  }

  #secret(): string {
    return Buffer.from(this.#random.bytes(SECRET_BYTES)).toString('hex')
  }
}

interface Pending {
  readonly sealedTicket: Uint8Array
  readonly userKey: string
  readonly pollKey: string
  readonly expiresAtMs: number
  outcome?: ExchangeAnswer
}

const digest = (prefix: 'u' | 'p', secret: string) =>
  sha256(Buffer.from(prefix + secret)).toString('latin1')
