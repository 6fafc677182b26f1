import type { Access } from './access.ts'
import {
  attenuateBundle,
  type Bundle,
  dischargeTokens,
  type MacaroonToken,
  noPermissionToken,
  permissionTokens,
} from './bundle.ts'
import type { Caveat } from './caveat.ts'
import { type Denial, describeDenials, unauthorized } from './denial.ts'
import { MacaroonError } from './errors.ts'
import { evaluateAccess } from './evaluate.ts'
import { tokenUuid } from './nonce.ts'
import { isOrganizationBound } from './scope.ts'
import type { Verifier } from './verifier.ts'
import type { Verdict, VerifiedToken, VerifyFailure } from './verify.ts'
import { WorkBudget } from './work-budget.ts'

/** A bundle whose permission tokens were all tried; `verdicts` are in their order. */
export interface VerifiedBundle {
  readonly bundle: Bundle
  readonly verdicts: readonly { readonly token: MacaroonToken; readonly verdict: Verdict }[]
}

/** Tries every permission token with the bundle's discharges. One bad token spoils no other. */
export function verifyBundle(bundle: Bundle, verifier: Verifier): VerifiedBundle {
  const discharges = dischargeTokens(bundle).map(({ macaroon }) => macaroon)
  const work = new WorkBudget()
  const verdicts = permissionTokens(bundle).map((token) => ({
    token,
    verdict: verifier.verify(token.macaroon, discharges, work),
  }))
  return { bundle, verdicts }
}

export function verifiedTokens({ verdicts }: VerifiedBundle): VerifiedToken[] {
  return verdicts.flatMap(({ verdict }) => (verdict.verified ? [verdict.token] : []))
}

/** Attenuates what is verified already; the new caveats count at once, without verifying again. */
export function attenuateVerified(
  verified: VerifiedBundle,
  caveats: readonly Caveat[],
): VerifiedBundle {
  const bundle = attenuateBundle(verified.bundle, caveats)
  const tokens = permissionTokens(bundle)
  const verdicts = verified.verdicts.map(({ token: former, verdict }, index) => {
    const token = tokens[index] ?? former
    if (!verdict.verified) return { token, verdict }
    const added = token.macaroon.caveats.slice(former.macaroon.caveats.length)
    const grown = {
      ...verdict.token,
      macaroon: token.macaroon,
      caveats: [...verdict.token.caveats, ...added],
    }
    return { token, verdict: { verified: true, token: grown } as const }
  })
  return { bundle, verdicts }
}

export type Authorization =
  | { readonly allowed: true; readonly token: VerifiedToken }
  | {
      readonly allowed: false
      /** How far the best token came: none there, none genuine, none with the right. */
      readonly stage: 'parse' | 'verify' | 'access'
      readonly refusals: readonly Refusal[]
      readonly message: string
    }

/** Why one token was of no use. */
export interface Refusal {
  readonly uuid: string
  readonly message: string
  readonly failure?: VerifyFailure
  readonly denials?: readonly Denial[]
}

export interface AuthorizeOptions {
  /** Milliseconds since the epoch. */
  readonly nowMs: number
  /**
   * The original lets a token without Organization caveat do anything. Only for tests against it.
   * @default false
   */
  readonly allowUnbound?: boolean
}

/**
 * Whether **one** verified token allows **all** accesses. Rights of two tokens are never combined.
 *
 * @throws MacaroonError macaroon.no_access_asked: an empty list would be allowed by anything.
 */
export function authorize(
  verified: VerifiedBundle,
  accesses: readonly Access[],
  options: AuthorizeOptions,
): Authorization {
  if (accesses.length === 0) {
    throw new MacaroonError('macaroon.no_access_asked', {
      what: 'no access was asked for',
      fix: 'name at least one access',
    })
  }
  const { verdicts } = verified
  if (verdicts.length === 0) {
    const { message } = noPermissionToken(verified.bundle)
    return { allowed: false, stage: 'parse', refusals: [], message }
  }
  const refusals: Refusal[] = []
  for (const token of verifiedTokens(verified)) {
    const denials = judge(token, accesses, options)
    if (denials.length === 0) return { allowed: true, token }
    refusals.push({ uuid: uuidOf(token), message: describeDenials(denials), denials })
  }
  if (refusals.length > 0) return refused('access', 'no authorized tokens', refusals)
  return refused('verify', 'no verified tokens', verifyRefusals(verified))
}

/**
 * The token that allows, for callers that would only turn the refusal into an answer.
 *
 * @throws MacaroonError macaroon.permission_token_missing, macaroon.unverified, macaroon.denied;
 *   `values.refusals` has each token's reasons.
 */
export function requireAuthorized(
  verified: VerifiedBundle,
  accesses: readonly Access[],
  options: AuthorizeOptions,
): VerifiedToken {
  const authorization = authorize(verified, accesses, options)
  if (authorization.allowed) return authorization.token
  const { stage, refusals, message } = authorization
  if (stage === 'parse') throw noPermissionToken(verified.bundle)
  const code = stage === 'verify' ? 'macaroon.unverified' : 'macaroon.denied'
  throw new MacaroonError(code, { what: message, values: { refusals: refusals.map(showRefusal) } })
}

/** A refusal as an error carries it to other processes: reasons and values, no caveat bodies. */
function showRefusal({ uuid, message, failure, denials }: Refusal) {
  return {
    uuid,
    message,
    ...(failure === undefined ? {} : { reason: failure.reason }),
    ...(denials === undefined
      ? {}
      : {
          denials: denials.map(({ kind, values, caveat, caveatIndex }) => ({
            kind,
            values,
            caveat: caveat?.type,
            caveatIndex,
          })),
        }),
  }
}

function judge(
  { caveats }: VerifiedToken,
  accesses: readonly Access[],
  { nowMs, allowUnbound = false }: AuthorizeOptions,
): Denial[] {
  const denials = accesses.flatMap((access) => evaluateAccess(caveats, access, nowMs))
  if (!allowUnbound && !isOrganizationBound(caveats)) {
    denials.push(unauthorized('token must be constrained to org', {}))
  }
  return denials
}

function verifyRefusals({ verdicts }: VerifiedBundle): Refusal[] {
  return verdicts.flatMap(({ token, verdict }) => {
    if (verdict.verified) return []
    const { failure } = verdict
    return [{ uuid: tokenUuid(token.macaroon.nonce), message: failure.message, failure }]
  })
}

function refused(stage: 'verify' | 'access', head: string, refusals: Refusal[]): Authorization {
  const lines = refusals.map(({ uuid, message }) => `token ${uuid}: ${message}`)
  return { allowed: false, stage, refusals, message: [head, ...lines].join('\n') }
}

const uuidOf = ({ macaroon }: VerifiedToken) => tokenUuid(macaroon.nonce)
