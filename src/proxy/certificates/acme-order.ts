/**
 * The state machine of one certificate order (RFC 8555, section 7.1.6), durable and idempotent: what is remembered is
 * where the order is at the authority and the key that it is for, and every step begins by asking the authority
 * how far things are. So a kill at any moment costs a question, not an order.
 */
export interface OrderRecord {
  readonly hostname: string
  /** PKCS #8 of the certificate to be, PEM; sealed on disk. */
  readonly key: string
  /** PEM; made with the key, so that a second finalisation sends the same. */
  readonly csr: string
  /** Undefined: not ordered yet. */
  readonly orderUrl: string | undefined
  /** Orders in a row that came to nothing. */
  readonly failures: number
  /** Not before this time, milliseconds since the epoch. */
  readonly notBeforeMs: number
  /** What went wrong last, for people. */
  readonly lastError: string | undefined
}

/** What the authority says: statuses of RFC 8555. */
export interface OrderView {
  readonly status: 'pending' | 'ready' | 'processing' | 'valid' | 'invalid'
  readonly authorizations: readonly AuthorizationView[]
}

export interface AuthorizationView {
  readonly name: string
  readonly status: string
  readonly challenges: readonly ChallengeView[]
}

export interface ChallengeView {
  readonly type: string
  readonly status: string
  readonly url: string
  readonly token: string
  readonly error?: string | undefined
}

export type OrderStep =
  | { readonly type: 'order' }
  /** Publish the answer of this challenge where the authority will look, then tell it to look. */
  | {
      readonly type: 'answer'
      readonly authorization: AuthorizationView
      readonly challenge: ChallengeView
    }
  | { readonly type: 'finalize' }
  | { readonly type: 'download' }
  /** Ask again later. */
  | { readonly type: 'poll'; readonly afterMs: number }
  | { readonly type: 'fail'; readonly reason: string }

const POLL_MS = 1_000

/**
 * What to do next.
 * @param view undefined: nothing is ordered, or the authority does not know the order any more
 * @param preferred challenge types, best first; those that are not in it are not used
 */
export function nextStep(
  record: OrderRecord,
  view: OrderView | undefined,
  preferred: readonly string[],
  isAnswered: (challenge: ChallengeView) => boolean,
): OrderStep {
  if (record.orderUrl === undefined || view === undefined) return { type: 'order' }
  if (view.status === 'ready') return { type: 'finalize' }
  if (view.status === 'valid') return { type: 'download' }
  if (view.status === 'processing') return { type: 'poll', afterMs: POLL_MS }
  if (view.status === 'invalid') return { type: 'fail', reason: reasonOf(view) }
  for (const authorization of view.authorizations) {
    if (authorization.status === 'valid') continue
    if (authorization.status !== 'pending') return { type: 'fail', reason: reasonOf(view) }
    const challenge = bestOf(authorization, preferred)
    if (challenge === undefined) {
      const offered = authorization.challenges.map(({ type }) => type).join(', ')
      return { type: 'fail', reason: `no challenge that is possible here: ${offered}` }
    }
    if (challenge.status === 'pending' && !isAnswered(challenge)) {
      return { type: 'answer', authorization, challenge }
    }
  }
  return { type: 'poll', afterMs: POLL_MS }
}

/** A wildcard can be proved by DNS only (RFC 8555, section 7.1.4). */
export const challengesFor = (
  hostname: string,
  hasDnsHook: boolean,
  isBehindCdn: boolean,
): readonly string[] => {
  const dns = hasDnsHook ? ['dns-01'] : []
  if (hostname.startsWith('*.')) return dns
  return isBehindCdn ? ['http-01', ...dns] : ['tls-alpn-01', 'http-01', ...dns]
}

const FAILURE_BASE_MS = 60_000
const FAILURE_MAX_MS = 24 * 3_600_000

/**
 * The record after an order came to nothing: the next one begins anew and later. Five failures of a name in an hour
 * are what public authorities allow, so the waits double from a minute on.
 * @param retryAfterMs what the authority asked for
 */
export function failed(
  record: OrderRecord,
  reason: string,
  retryAfterMs: number,
  nowMs: number,
): OrderRecord {
  const waitMs = Math.min(FAILURE_MAX_MS, FAILURE_BASE_MS * 2 ** Math.min(record.failures + 1, 20))
  return {
    ...record,
    orderUrl: undefined,
    failures: record.failures + 1,
    notBeforeMs: nowMs + Math.max(waitMs, retryAfterMs),
    lastError: reason,
  }
}

function bestOf(
  { challenges }: AuthorizationView,
  preferred: readonly string[],
): ChallengeView | undefined {
  for (const type of preferred) {
    const found = challenges.find((challenge) => challenge.type === type)
    if (found !== undefined) return found
  }
  return undefined
}

function reasonOf({ authorizations }: OrderView): string {
  for (const { name, challenges } of authorizations) {
    for (const { type, error } of challenges)
      if (error !== undefined) return `${name}: ${type}: ${error}`
  }
  return 'the authority gave up the order'
}
