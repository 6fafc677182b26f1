import type { Clock } from '#base'
import { FlapsError } from './errors.ts'
import { type Rate, TokenBuckets } from './token-buckets.ts'

/**
 * How often a call may come. `action`: each kind of call by itself, for each machine or app;
 * `getMachine`: reads of one machine; `deleteApp`: for each token; `query`: what a
 * token asks of the web API; `none`: calls without a target that cost no more than the answer.
 */
export type LimitKind = 'action' | 'getMachine' | 'deleteApp' | 'query' | 'none'

export type Rates = Readonly<Record<Exclude<LimitKind, 'none'>, Rate>>

/** The documented rates; that of queries is ours. */
export const documentedRates: Rates = {
  action: { perSecond: 1, burst: 3 },
  getMachine: { perSecond: 5, burst: 10 },
  deleteApp: { perSecond: 100 / 60, burst: 100 },
  query: { perSecond: 20, burst: 100 },
}

/** Of 100 bytes each or so. */
const BUCKETS_MAX = 100_000

export class RateLimits {
  readonly #rates: Rates
  readonly #buckets: TokenBuckets

  constructor(clock: Clock, rates: Rates = documentedRates) {
    this.#rates = rates
    this.#buckets = new TokenBuckets(clock, BUCKETS_MAX)
  }

  /** @throws FlapsError flaps.rate_limited, with the seconds to wait in its values */
  spend(kind: LimitKind, call: string, target: string): void {
    if (kind === 'none') return
    const waitS = this.#buckets.take(`${call} ${target}`, this.#rates[kind])
    if (waitS === 0) return
    throw new FlapsError('flaps.rate_limited', {
      what: 'rate limit exceeded',
      values: { retryAfterS: Math.max(1, Math.ceil(waitS)) },
    })
  }
}
