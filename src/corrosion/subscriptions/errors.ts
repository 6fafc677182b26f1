import { GodwitError } from '#base'

export type SubscriptionErrorCode = keyof typeof SubscriptionError.catalogue

/** Why a query cannot be subscribed to, or a stream of changes not go on. */
export class SubscriptionError extends GodwitError<SubscriptionErrorCode> {
  static override readonly catalogue = {
    /** No SELECT, or one that reads no replicated table. */
    'corrosion.subscription_unfit': { status: 400 },
    'corrosion.subscription_unknown': { status: 404 },
    /** `from` names changes that are no longer kept: subscribe anew. */
    'corrosion.subscription_purged': { status: 410 },
    /** The reader was too slow: go on with `from` the last change seen. */
    'corrosion.subscription_lagged': { status: 503, transient: true },
    'corrosion.subscription_limit': { status: 503, transient: true },
    /** An agent refused to be followed, or what it sends makes no sense. */
    'corrosion.subscription_broken': { status: 502, transient: true },
  } as const
}
