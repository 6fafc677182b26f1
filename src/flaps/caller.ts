import type { IncomingMessage } from 'node:http'
import { errorCode } from '#base'
import {
  type Access,
  authorize,
  caveatsOf,
  MacaroonError,
  organizationScope,
  parseBundle,
  type Refusal,
  tokenUuid,
  type VerifiedBundle,
  type VerifiedToken,
  type Verifier,
  verifiedTokens,
  verifyBundle,
  type WireInteger,
} from '#macaroon'
import { refuse } from './errors.ts'
import { networkOf } from './network/network-source.ts'

const TOKEN_BAD = 'Authenticate: token validation error'
/** Long tokens get lost in part when they are copied; that must not look like a revocation. */
const TOKEN_DAMAGED = `${TOKEN_BAD}: the token is damaged; was it copied to its last character?`

/** Who calls: the tokens of one header, those that verified. There is at least one. */
export class Caller {
  readonly #verified: VerifiedBundle

  /**
   * @param only the organisation whose tokens count, by its id in tokens. Absent: all do
   * @throws FlapsError flaps.unauthenticated, flaps.forbidden: none of them is of that organisation
   */
  constructor(header: string | undefined, verifier: Verifier, only?: number) {
    if (header === undefined) throw refuse('flaps.unauthenticated', TOKEN_BAD)
    const verified = verifyHeader(header, verifier)
    if (verifiedTokens(verified).length === 0) {
      const isDamaged = verified.bundle.tokens.some(({ kind }) => kind === 'malformed')
      throw refuse('flaps.unauthenticated', isDamaged ? TOKEN_DAMAGED : TOKEN_BAD)
    }
    this.#verified = only === undefined ? verified : ofOrganization(verified, only)
    if (verifiedTokens(this.#verified).length === 0) throw refuse('flaps.forbidden', 'unauthorized')
  }

  get tokens(): readonly VerifiedToken[] {
    return verifiedTokens(this.#verified)
  }

  /**
   * The one token that allows the access.
   *
   * @throws FlapsError flaps.forbidden; flaps.unauthenticated when time alone stands in the way
   */
  require(access: Access, nowMs: number): VerifiedToken {
    const authorization = authorize(this.#verified, [access], { nowMs })
    if (authorization.allowed) return authorization.token
    if (authorization.refusals.length > 0 && authorization.refusals.every(isOnlyTime)) {
      throw refuse('flaps.unauthenticated', TOKEN_BAD)
    }
    throw refuse('flaps.forbidden', 'unauthorized')
  }

  allows(access: Access, nowMs: number): boolean {
    return authorize(this.#verified, [access], { nowMs }).allowed
  }

  /** Those that are neither too old nor too young. */
  live(nowMs: number): readonly VerifiedToken[] {
    return this.tokens.filter((one) => isWithinWindow(one, nowMs))
  }

  /**
   * A token that may be used now, for whatever it may be used. One that is bound to no organisation, or
   * to two at once, may be used for nothing.
   *
   * @throws FlapsError flaps.unauthenticated, flaps.forbidden
   */
  requireLive(nowMs: number): VerifiedToken {
    const live = this.live(nowMs)
    if (live.length === 0) throw refuse('flaps.unauthenticated', TOKEN_BAD)
    const token = live.find((one) => organizationOf(one) !== undefined)
    if (token === undefined) throw refuse('flaps.forbidden', 'unauthorized')
    return token
  }
}

/**
 * Who sent a request. From an organisation's network only the tokens of that organisation count.
 *
 * @throws FlapsError flaps.unauthenticated, flaps.forbidden
 */
export function callerOf({ headers, socket }: IncomingMessage, verifier: Verifier): Caller {
  return new Caller(headers.authorization, verifier, networkOf(socket)?.organization.numericId)
}

/** The organisation that a token is for, by its id in tokens. */
export function organizationOf({ caveats }: VerifiedToken): WireInteger | undefined {
  try {
    return organizationScope(caveats)
  } catch (error) {
    if (errorCode(error) === 'macaroon.unscoped') return undefined
    throw error
  }
}

/** Without the tokens of all others. */
function ofOrganization({ bundle, verdicts }: VerifiedBundle, id: number): VerifiedBundle {
  const isOwn = ({ verdict }: VerifiedBundle['verdicts'][number]) =>
    verdict.verified && Number(organizationOf(verdict.token)) === id
  return { bundle, verdicts: verdicts.filter(isOwn) }
}

function verifyHeader(header: string, verifier: Verifier): VerifiedBundle {
  try {
    return verifyBundle(parseBundle(header), verifier)
  } catch (cause) {
    if (!(cause instanceof MacaroonError)) throw cause
    throw refuse('flaps.unauthenticated', TOKEN_BAD, cause)
  }
}

const isOnlyTime = ({ denials = [] }: Refusal) =>
  denials.length > 0 && denials.every(({ caveat }) => caveat?.type === 'ValidityWindow')

function isWithinWindow({ caveats }: VerifiedToken, nowMs: number): boolean {
  const nowS = nowMs / 1000
  return caveatsOf(caveats, 'ValidityWindow').every(
    ({ notBefore, notAfter }) => nowS >= notBefore && nowS <= notAfter,
  )
}

/** Who holds leases and stands in the audit log. */
export function ownerOf({ macaroon, caveats }: VerifiedToken): string {
  const [source] = caveatsOf(caveats, 'FromMachineSource')
  if (source !== undefined) return `${source.id}@machines.internal` // its token is new with every request
  return `${tokenUuid(macaroon.nonce)}@tokens.internal`
}
