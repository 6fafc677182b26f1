import type { Clock } from '#base'
import { type Nonce, type Revocations, tokenUuid } from '#macaroon'
import type { Revocation } from './token.ts'

/** Where revocations come from: `Accounts` itself, or a replica of its table. */
export interface RevocationSource {
  /** In order of sequence; an empty answer says that nothing was missed. */
  revocationsAfter(sequence: number): readonly Revocation[]
}

/**
 * What a verifier knows of revocations, in memory. Whoever drives it calls `poll` regularly; when the
 * source was not heard for `staleAfterMs`, every token is `unknown`, and verifiers refuse: better no
 * service than one for a stolen token.
 */
export class RevocationFeed implements Revocations {
  readonly #source: RevocationSource
  readonly #clock: Clock
  readonly #staleAfterMs: number
  readonly #revoked = new Set<string>()
  #sequence = 0
  #heardAtMs = Number.NEGATIVE_INFINITY

  constructor(source: RevocationSource, options: { clock: Clock; staleAfterMs: number }) {
    this.#source = source
    this.#clock = options.clock
    this.#staleAfterMs = options.staleAfterMs
  }

  /** @throws what the source throws; what was known stays known until it is stale. */
  poll(): void {
    const nowMs = this.#clock.monotonicMs()
    for (;;) {
      const page = this.#source.revocationsAfter(this.#sequence)
      for (const { uuid, sequence } of page) {
        this.#revoked.add(uuid)
        this.#sequence = Math.max(this.#sequence, sequence)
      }
      if (page.length === 0) break
    }
    this.#heardAtMs = nowMs
  }

  statusOf(nonce: Nonce): 'live' | 'revoked' | 'unknown' {
    if (this.#revoked.has(tokenUuid(nonce))) return 'revoked'
    const ageMs = this.#clock.monotonicMs() - this.#heardAtMs
    return ageMs > this.#staleAfterMs ? 'unknown' : 'live'
  }
}
