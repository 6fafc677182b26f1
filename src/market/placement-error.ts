import type { ErrorJson, Fault } from '#base'
import { MarketError, type MarketErrorCode } from './errors.ts'
import type { HostRefusal } from './refusal.ts'

/** Why no host was found: the reason of each host that refused, in the order in which they came. */
export class PlacementError extends MarketError {
  /** At most REFUSALS_MAX; the counts in `values` are of all. */
  readonly refusals: readonly HostRefusal[]

  constructor(code: MarketErrorCode, fault: Fault, refusals: readonly HostRefusal[]) {
    super(code, fault)
    this.refusals = refusals
  }

  override toJSON(): ErrorJson {
    const json = super.toJSON()
    return { ...json, values: { ...json.values, refusals: this.refusals } }
  }
}
