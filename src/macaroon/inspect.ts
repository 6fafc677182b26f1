import type { ErrorJson } from '#base'
import type { Bundle, BundleToken } from './bundle.ts'
import { showText } from './byte-text.ts'
import type { Caveat } from './caveat.ts'
import { caveatToJson } from './caveat-set.ts'
import type { ExactJson } from './exact-json.ts'
import { encodeMacaroon, type Macaroon } from './macaroon.ts'
import { tokenUuid } from './nonce.ts'
import { expiryOf } from './scope.ts'
import { ticketsOf } from './third-party.ts'
import type { WireInteger } from './wire-integer.ts'

/**
 * What can be read off a token without any key. `location` and `caveats` are what the original's
 * `tokens debug` prints. Nothing here is verified, and no tail is shown: it would be a token again.
 */
export interface MacaroonSummary {
  readonly location: string
  readonly caveats: readonly ExactJson[]
  readonly uuid: string
  /** Hex. */
  readonly kid: string
  readonly isProof: boolean
  readonly bytes: number
  /** Unix second of the earliest end of a validity window; null: none. */
  readonly notAfter: WireInteger | null
  /** Where discharges are needed. */
  readonly thirdParties: readonly string[]
}

export type TokenSummary =
  | ({ readonly kind: 'permission' | 'discharge' } & MacaroonSummary)
  | { readonly kind: 'malformed'; readonly problem: ErrorJson }
  /** Opaque: only its prefix is shown. */
  | { readonly kind: 'other'; readonly prefix: string }

export function inspectBundle({ tokens }: Bundle): TokenSummary[] {
  return tokens.map(inspectToken)
}

function inspectToken(token: BundleToken): TokenSummary {
  if (token.kind === 'malformed') return { kind: token.kind, problem: token.error.toJSON() }
  if (token.kind === 'other')
    return { kind: token.kind, prefix: /^\w{1,4}(?=_)/.exec(token.text)?.[0] ?? '' }
  return { kind: token.kind, ...inspectMacaroon(token.macaroon) }
}

export function inspectMacaroon(macaroon: Macaroon): MacaroonSummary {
  const { nonce, location, caveats } = macaroon
  return {
    location: showText(location),
    caveats: caveats.map(caveatToJson),
    uuid: tokenUuid(nonce),
    kid: Buffer.from(nonce.kid).toString('hex'),
    isProof: nonce.isProof,
    bytes: encodeMacaroon(macaroon).length,
    notAfter: expiryOf(caveats) ?? null,
    thirdParties: ticketsOf(caveats).map((due) => showText(due.location)),
  }
}

/** The JSON of caveats, as people write and `tokens debug` prints them. */
export function caveatsToJson(caveats: readonly Caveat[]): ExactJson {
  return caveats.map(caveatToJson)
}
