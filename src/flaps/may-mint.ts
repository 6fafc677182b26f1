import { type Caveat, expiryOf, type VerifiedToken } from '#macaroon'
import { refuse } from './errors.ts'

/**
 * Caveats that a token may have and still mint others: they say whose it is and until when. Whatever
 * else narrows a token would be lost in the new one, so such a token mints nothing: narrow it offline.
 */
const harmless: ReadonlySet<Caveat['type']> = new Set([
  'Organization',
  'Apps',
  'ValidityWindow',
  'IsUser',
  'IsMember',
  'FlyioUserID',
  'GitHubUserID',
  'GoogleUserID',
  '3P',
])

/** @throws FlapsError flaps.forbidden */
export function requireMayMint({ caveats }: VerifiedToken): void {
  if (caveats.every(({ type }) => harmless.has(type))) return
  throw refuse('flaps.forbidden', 'unauthorized')
}

/**
 * Seconds that the new token lives: no longer than the one that mints it, whose discharges may be
 * shorter. Undefined: for ever.
 */
export function lifetimeS(
  { macaroon }: VerifiedToken,
  options: { askedS: number | undefined; nowMs: number },
): number | undefined {
  const { askedS, nowMs } = options
  const expiry = expiryOf(macaroon.caveats)
  if (expiry === undefined) return askedS
  const leftS = Math.max(0, Number(expiry) - Math.floor(nowMs / 1000))
  return askedS === undefined ? leftS : Math.min(askedS, leftS)
}
