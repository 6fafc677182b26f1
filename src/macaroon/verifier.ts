import type { Clock } from '#base'
import { VerdictCache } from './cache.ts'
import { equalSecrets } from './hmac.ts'
import type { Macaroon } from './macaroon.ts'
import type { Nonce } from './nonce.ts'
import {
  type TrustedThirdParties,
  type Verdict,
  type VerifiedToken,
  type VerifyReason,
  verifyMacaroon,
} from './verify.ts'
import { WorkBudget } from './work-budget.ts'

/** Finds root keys: the key's bytes, or undefined for a key id that nobody knows. */
export type KeyLookup = (kid: Uint8Array) => Uint8Array | undefined

/**
 * What is known of revocations. `unknown`, when the feed was lost for too long, fails closed; the
 * cache is dropped then, so that nothing outlives what was not heard.
 */
export interface Revocations {
  statusOf(nonce: Nonce): 'live' | 'revoked' | 'unknown'
}

export interface VerifierOptions {
  readonly keyFor: KeyLookup
  /** @default none: attestations are dropped */
  readonly trusted?: TrustedThirdParties
  /** @default nothing is revoked */
  readonly revocations?: Revocations
  /** @default no cache */
  readonly cache?: { readonly entriesMax: number; readonly ttlMs: number }
  readonly clock: Clock
}

/** Verifies tokens with their discharges: keys, then cache or chain, then revocations. */
export interface Verifier {
  /** @param work shared by all tokens of one header. @default a budget of its own */
  verify(macaroon: Macaroon, discharges: readonly Macaroon[], work?: WorkBudget): Verdict
  /** Drops what is cached of a nonce: of a token and of all made from it, or of a discharge. */
  forget(nonce: Nonce): void
  /** Drops the whole cache. */
  clear(): void
  /** Entries in the cache, and how often it answered and did not. */
  readonly cacheFigures: { entries: number; hits: number; misses: number }
}

export function openVerifier(options: VerifierOptions): Verifier {
  const { keyFor, trusted = new Map(), revocations, clock } = options
  const cache = options.cache === undefined ? undefined : new VerdictCache(options.cache, clock)

  function verify(
    macaroon: Macaroon,
    discharges: readonly Macaroon[],
    work = new WorkBudget(),
  ): Verdict {
    const key = keyFor(macaroon.nonce.kid)
    if (key === undefined) {
      return failed('unknown_key', `unknown KID ${Buffer.from(macaroon.nonce.kid).toString('hex')}`)
    }
    const cached = cache?.find(macaroon, discharges)
    if (cached !== undefined && equalSecrets(cached.key, key)) return checkLiveness(cached.token)
    const verdict = verifyMacaroon(macaroon, key, discharges, trusted, work)
    if (!verdict.verified) return verdict
    const live = checkLiveness(verdict.token)
    if (live.verified) cache?.keep(macaroon, discharges, { token: verdict.token, key })
    return live
  }

  /** Asked on every call, cached or not. */
  function checkLiveness(token: VerifiedToken): Verdict {
    for (const { nonce } of [token.macaroon, ...token.discharges]) {
      const status = revocations?.statusOf(nonce) ?? 'live'
      if (status === 'live') continue
      if (status === 'unknown') cache?.clear()
      else cache?.forget(nonce)
      return status === 'revoked'
        ? failed('revoked', 'token was revoked')
        : failed('revocations_unknown', 'revocations are not known at the moment')
    }
    return { verified: true, token }
  }

  return {
    verify,
    forget: (nonce) => cache?.forget(nonce),
    clear: () => cache?.clear(),
    get cacheFigures() {
      return cache?.figures ?? { entries: 0, hits: 0, misses: 0 }
    },
  }
}

const failed = (reason: VerifyReason, message: string): Verdict => ({
  verified: false,
  failure: { reason, message },
})
