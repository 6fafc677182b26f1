import type { Placement } from './placement.ts'
import type { PlacementRequest } from './placement-request.ts'

/** One call of somebody who waits for it. */
export interface PlaceCall {
  /** Aborts: what may have been reserved is given back. */
  readonly signal?: AbortSignal
  /** Bound of the whole. @default limits.deadlineMs of the placer, which it can only shorten */
  readonly deadlineMs?: number
}

/** Finds a host for a machine or a volume, and reserves room there. */
export interface Placer {
  /**
   * @throws PlacementError market.no_capacity, market.no_match, market.no_answer, market.deadline or
   *   market.unavailable, with the reason of each host; MarketError market.request_bad or
   *   market.overloaded; the signal's reason.
   */
  place(request: PlacementRequest, call?: PlaceCall): Promise<Placement>
  /**
   * Gives a reservation back that will not be used. A hint: when it is lost, the reservation expires.
   */
  release(placement: Pick<Placement, 'host' | 'reservation'>): void
}
