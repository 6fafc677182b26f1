import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import type { Clock } from '#base'
import { encodeMacaroon, type Macaroon } from './macaroon.ts'
import type { Nonce } from './nonce.ts'
import { expiryOf } from './scope.ts'
import { ticketsOf } from './third-party.ts'
import type { VerifiedToken } from './verify.ts'

/** What was verified, and with which key: another key under the same id is another answer. */
export interface CachedToken {
  readonly token: VerifiedToken
  readonly key: Uint8Array
}

interface Entry extends CachedToken {
  /** On the monotonic clock. */
  readonly dropAtMs: number
  /** On the wall clock: after it every access would be denied. */
  readonly expiresAtMs: number
  /** Of the token and its discharges, so that each can be forgotten. */
  readonly nonces: readonly string[]
}

/**
 * Tokens that verified, the least recently used dropped first. Failures are never kept: a missing
 * discharge may arrive, a key may be learnt. Rights are never kept: each access is judged anew.
 *
 * The key is a digest of the canonical bytes of token and fitting discharges, so neither another
 * spelling of the same token nor a token with the same tail and other caveats meets an entry.
 */
export class VerdictCache {
  readonly #entriesMax: number
  readonly #ttlMs: number
  readonly #clock: Clock
  /** In order of use, the oldest first. */
  readonly #entries = new Map<string, Entry>()
  /** Digests of entries by nonce. */
  readonly #digestsByNonce = new Map<string, Set<string>>()
  #hits = 0
  #misses = 0

  constructor(options: { entriesMax: number; ttlMs: number }, clock: Clock) {
    assert(options.entriesMax > 0 && options.ttlMs > 0, 'a cache without room or time')
    this.#entriesMax = options.entriesMax
    this.#ttlMs = options.ttlMs
    this.#clock = clock
  }

  get figures() {
    return { entries: this.#entries.size, hits: this.#hits, misses: this.#misses }
  }

  find(macaroon: Macaroon, discharges: readonly Macaroon[]): CachedToken | undefined {
    const digest = digestOf(macaroon, discharges)
    const entry = this.#entries.get(digest)
    if (entry === undefined || this.#isOver(entry)) {
      if (entry !== undefined) this.#drop(digest, entry)
      this.#misses += 1
      return undefined
    }
    this.#hits += 1
    this.#entries.delete(digest)
    this.#entries.set(digest, entry)
    return entry
  }

  keep(macaroon: Macaroon, discharges: readonly Macaroon[], cached: CachedToken): void {
    const digest = digestOf(macaroon, discharges)
    const former = this.#entries.get(digest)
    if (former !== undefined) this.#drop(digest, former)
    const { token } = cached
    const entry = {
      ...cached,
      dropAtMs: this.#clock.monotonicMs() + this.#ttlMs,
      expiresAtMs: Number(expiryOf(token.caveats) ?? Number.POSITIVE_INFINITY) * 1000,
      nonces: [token.macaroon, ...token.discharges].map(({ nonce }) => nonceKey(nonce)),
    }
    if (this.#isOver(entry)) return
    this.#entries.set(digest, entry)
    for (const nonce of entry.nonces) {
      const digests = this.#digestsByNonce.get(nonce) ?? new Set()
      this.#digestsByNonce.set(nonce, digests.add(digest))
    }
    this.#dropOldest()
  }

  forget(nonce: Nonce): void {
    for (const digest of this.#digestsByNonce.get(nonceKey(nonce)) ?? []) {
      const entry = this.#entries.get(digest)
      if (entry !== undefined) this.#drop(digest, entry)
    }
  }

  clear(): void {
    this.#entries.clear()
    this.#digestsByNonce.clear()
  }

  #isOver({ dropAtMs, expiresAtMs }: Entry): boolean {
    return this.#clock.monotonicMs() >= dropAtMs || this.#clock.nowMs() > expiresAtMs
  }

  #dropOldest(): void {
    for (const [digest, entry] of this.#entries) {
      if (this.#entries.size <= this.#entriesMax) return
      this.#drop(digest, entry)
    }
  }

  #drop(digest: string, entry: Entry): void {
    this.#entries.delete(digest)
    for (const nonce of entry.nonces) {
      const digests = this.#digestsByNonce.get(nonce)
      digests?.delete(digest)
      if (digests?.size === 0) this.#digestsByNonce.delete(nonce)
    }
  }
}

const nonceKey = ({ packed }: Nonce) => Buffer.from(packed).toString('latin1')

/** Encoded tokens end where they end, so their concatenation has one reading only. */
function digestOf(macaroon: Macaroon, discharges: readonly Macaroon[]): string {
  const tickets = new Set(ticketsOf(macaroon.caveats).map(({ ticket }) => latin1(ticket)))
  const fitting = discharges
    .filter(({ nonce }) => tickets.has(latin1(nonce.kid)))
    .map(encodeMacaroon)
    .sort(Buffer.compare)
  return hash('sha256', Buffer.concat([encodeMacaroon(macaroon), ...fitting]), 'latin1')
}

const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')
