import type { Caveat } from './caveat.ts'
import { isUnsignable, kindOf } from './caveat-set.ts'
import { extendChain, finalizeChain, startChain } from './chain.ts'
import { equalSecrets, sha256 } from './hmac.ts'
import type { Macaroon } from './macaroon.ts'
import { unseal } from './seal.ts'
import { tryOpenTicket } from './ticket.ts'
import { UNSEAL_MACS, WorkBudget } from './work-budget.ts'

/**
 * Whether a token is genuine, and what it then says. Rights are another question: evaluate.ts.
 * A failure comes in the order of the caveats and before the tails are compared, so a forged token
 * may fail for a missing discharge. Source: superfly/macaroon, verify.
 */
export type Verdict =
  | { readonly verified: true; readonly token: VerifiedToken }
  | { readonly verified: false; readonly failure: VerifyFailure }

/** Only verification makes one. */
export interface VerifiedToken {
  readonly macaroon: Macaroon
  /** What must clear: those of the token, then those of its discharges. Third-party and binding
   * caveats are settled; attestations are here only when their discharge is trusted. */
  readonly caveats: readonly Caveat[]
  /** The discharges that were used. */
  readonly discharges: readonly Macaroon[]
}

export interface VerifyFailure {
  readonly reason: VerifyReason
  /** In the words of the original; several lines when several discharges failed. */
  readonly message: string
}

export type VerifyReason =
  | 'unknown_key'
  | 'bad_signature'
  | 'undischarged'
  | 'verifier_key_unreadable'
  | 'discharge_failed'
  | 'discharge_key_mismatch'
  | 'bound_to_other_token'
  | 'attestation_misplaced'
  | 'unsignable_caveat'
  | 'over_budget'
  | 'revoked'
  | 'revocations_unknown'

/** Shared keys of third parties whose attestations are believed, by the discharge's location. */
export type TrustedThirdParties = ReadonlyMap<string, readonly Uint8Array[]>

/**
 * Verifies one token with its root key.
 *
 * @param discharges candidates; those that match no ticket are ignored.
 * @param work shared by all tokens of one header.
 */
export function verifyMacaroon(
  macaroon: Macaroon,
  key: Uint8Array,
  discharges: readonly Macaroon[] = [],
  trusted: TrustedThirdParties = new Map(),
  work: WorkBudget = new WorkBudget(),
): Verdict {
  const walk = walkChain(macaroon, key, { discharges, parents: noParents, isTrusted: true, work })
  if (!walk.ok) return { verified: false, failure: walk.failure }
  const caveats = [...walk.caveats]
  const used: Macaroon[] = []
  const parents = new TailDigests(walk.tails)
  for (const due of walk.due) {
    const result = verifyAny(due, { parents, trusted, work })
    if (!result.ok) return { verified: false, failure: result.failure }
    caveats.push(...result.caveats)
    used.push(result.discharge)
  }
  const failure = compareTails(macaroon, walk.tails)
  if (failure !== undefined) return { verified: false, failure }
  return { verified: true, token: { macaroon, caveats, discharges: used } }
}

/** One ticket to be discharged. */
interface Due {
  readonly key: Uint8Array
  readonly candidates: readonly Macaroon[]
}

interface Failed {
  readonly ok: false
  readonly failure: VerifyFailure
}

interface Walk {
  readonly ok: true
  readonly caveats: Caveat[]
  readonly due: Due[]
  /** T0 to Tn, not finalised. */
  readonly tails: Buffer[]
}

interface WalkContext {
  readonly discharges: readonly Macaroon[]
  /** Of the token that this one discharges; none for a permission token. */
  readonly parents: TailDigests
  readonly isTrusted: boolean
  readonly work: WorkBudget
}

/** SHA-256 of every tail of a chain, made when the first binding asks. A binding names a prefix. */
class TailDigests {
  readonly #tails: readonly Buffer[]
  #digests: readonly Buffer[] | undefined

  constructor(tails: readonly Buffer[]) {
    this.#tails = tails
  }

  get count(): number {
    return this.#tails.length
  }

  include(prefix: Uint8Array): boolean {
    this.#digests ??= this.#tails.map(sha256)
    return this.#digests.some(
      (digest) => Buffer.compare(digest.subarray(0, prefix.length), prefix) === 0,
    )
  }
}

const noParents = new TailDigests([])

/** HOT: the chain from the root key to the tail, and what its caveats ask for. */
function walkChain(macaroon: Macaroon, key: Uint8Array, context: WalkContext): Walk | Failed {
  const { nonce, caveats, packed } = macaroon
  if (!context.work.spend(1 + caveats.length)) return { ok: false, failure: tooMuchWork }
  let tail = startChain(key, nonce)
  const walk: Walk = { ok: true, caveats: [], due: [], tails: [tail] }
  for (let index = 0; index < caveats.length; index += 1) {
    const caveat = caveats[index] as Caveat
    const failure = settle(caveat, macaroon, tail, context, walk)
    if (failure !== undefined) return { ok: false, failure }
    tail = extendChain(tail, packed[index] as Uint8Array)
    walk.tails.push(tail)
  }
  return walk
}

/** Collects a caveat, or settles it under the tail before it. */
function settle(
  caveat: Caveat,
  { nonce }: Macaroon,
  tail: Buffer,
  context: WalkContext,
  walk: Walk,
): VerifyFailure | undefined {
  if (caveat.type === '3P') return settleThirdParty(caveat.body, tail, context, walk)
  if (caveat.type === 'BindToParentToken') return settleBinding(caveat.body, context)
  if (isUnsignable(caveat)) {
    return fail('unsignable_caveat', 'cannot convert unregistered caveats from JSON to msgpack')
  }
  if (kindOf(caveat)?.isAttestation) {
    if (!nonce.isProof) return fail('attestation_misplaced', 'attestation in non-proof macaroon')
    if (!context.isTrusted) return undefined // says nothing, but the discharge counts
  }
  walk.caveats.push(caveat)
  return undefined
}

function settleThirdParty(
  { ticket, verifierKey }: { ticket: Uint8Array | null; verifierKey: Uint8Array | null },
  tail: Buffer,
  context: WalkContext,
  walk: Walk,
): VerifyFailure | undefined {
  const sealed = ticket ?? new Uint8Array(0)
  const candidates = context.discharges.filter(
    ({ nonce }) => Buffer.compare(nonce.kid, sealed) === 0,
  )
  if (candidates.length === 0) return fail('undischarged', 'no matching discharge token')
  if (!context.work.spend(UNSEAL_MACS)) return tooMuchWork
  const unsealed = unseal(tail, verifierKey ?? new Uint8Array(0))
  if (!unsealed.ok) {
    const why = `macaroon verify: unseal VerifierKey for third-party caveat: ${unsealed.why}`
    return fail('verifier_key_unreadable', why)
  }
  walk.due.push({ key: unsealed.plaintext, candidates })
  return undefined
}

function settleBinding(
  binding: Uint8Array | null,
  { parents, work }: WalkContext,
): VerifyFailure | undefined {
  const prefix = binding ?? new Uint8Array(0)
  if (!work.spend(parents.count / COMPARISONS_PER_MAC)) return tooMuchWork
  if (parents.include(prefix)) return undefined
  const hex = Buffer.from(prefix).toString('hex')
  return fail(
    'bound_to_other_token',
    `discharge bound to different parent token: &${hex}`, // the & is theirs
  )
}

const COMPARISONS_PER_MAC = 16

interface DischargeContext {
  readonly parents: TailDigests
  readonly trusted: TrustedThirdParties
  readonly work: WorkBudget
}

type DischargeResult =
  | { readonly ok: true; readonly caveats: readonly Caveat[]; readonly discharge: Macaroon }
  | Failed

/** The first discharge of a ticket that verifies; else what is wrong with each. */
function verifyAny({ key, candidates }: Due, context: DischargeContext): DischargeResult {
  const failures: VerifyFailure[] = []
  for (const discharge of candidates) {
    const result = verifyDischarge(discharge, key, context)
    if (result.ok || result.failure.reason === 'over_budget') return result
    failures.push(result.failure)
  }
  const [first] = failures
  const message = failures.map((failure) => failure.message).join('\n')
  return { ok: false, failure: { reason: first?.reason ?? 'discharge_failed', message } }
}

function verifyDischarge(
  discharge: Macaroon,
  key: Uint8Array,
  context: DischargeContext,
): DischargeResult {
  const { parents, work } = context
  const trust = judgeTrust(discharge, key, context)
  if (trust === 'mismatch') {
    const message = 'discharge key from ticket/VerifierKey mismatch'
    return { ok: false, failure: { reason: 'discharge_key_mismatch', message } }
  }
  const isTrusted = trust === 'trusted'
  const walk = walkChain(discharge, key, { discharges: [], parents, isTrusted, work })
  const failure = walk.ok ? compareTails(discharge, walk.tails) : walk.failure
  if (walk.ok && failure === undefined) return { ok: true, caveats: walk.caveats, discharge }
  const message = `macaroon verify: verify discharge: ${failure?.message}`
  return { ok: false, failure: { reason: failure?.reason ?? 'discharge_failed', message } }
}

/**
 * A discharge is trusted when a key that we share with its (unsigned) location opens its ticket:
 * then the third party, not the holder, chose the discharge key, provided it is the same one.
 */
function judgeTrust(
  { location, nonce }: Macaroon,
  key: Uint8Array,
  { trusted, work }: DischargeContext,
): 'trusted' | 'untrusted' | 'mismatch' {
  for (const sharedKey of trusted.get(location) ?? []) {
    work.spend(UNSEAL_MACS) // the walk that follows asks whether anything is left
    const ticket = tryOpenTicket(sharedKey, nonce.kid)
    if (ticket === undefined) continue
    return equalSecrets(ticket.dischargeKey, key) ? 'trusted' : 'mismatch'
  }
  return 'untrusted'
}

function compareTails(macaroon: Macaroon, tails: readonly Buffer[]): VerifyFailure | undefined {
  const last = tails[tails.length - 1] as Buffer
  const expected = macaroon.nonce.isProof ? finalizeChain(last) : last
  if (equalSecrets(expected, macaroon.tail)) return undefined
  return fail('bad_signature', 'macaroon verify: invalid')
}

const tooMuchWork: VerifyFailure = {
  reason: 'over_budget',
  message: 'macaroon verify: too many caveats and discharges for one header',
}

const fail = (reason: VerifyReason, message: string): VerifyFailure => ({ reason, message })
