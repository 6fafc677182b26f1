import { MarketError } from './errors.ts'

/** Bounds of one placement. All times are milliseconds. */
export interface PlacementLimits {
  /** From the first answer of a region to the choice among its bids: slower hosts are too late. */
  readonly bidWindowMs: number
  /** From the ask to giving up on a region that has sent no bid. */
  readonly silenceMs: number
  /** So many bids are enough to choose from. */
  readonly bidsEnough: number
  /** For a host's answer to the order. */
  readonly orderMs: number
  /** How long the host keeps what it reserved. */
  readonly reservationTtlMs: number
  /** Hosts of one region that are ordered from before the next region is tried. */
  readonly ordersMax: number
  /** For everything. The placement has ended then, well or badly. */
  readonly deadlineMs: number
}

export const DEFAULT_LIMITS: PlacementLimits = {
  bidWindowMs: 100,
  silenceMs: 1_000,
  bidsEnough: 64,
  orderMs: 1_000,
  reservationTtlMs: 30_000,
  ordersMax: 8,
  deadlineMs: 5_000,
}

/** Refusals that an error carries. Those beyond it are counted. */
export const REFUSALS_MAX = 1_000

/** Completes and checks them. @throws MarketError market.limits_bad */
export function placementLimits(changes: Partial<PlacementLimits> = {}): PlacementLimits {
  const limits = { ...DEFAULT_LIMITS, ...changes }
  const { bidWindowMs, silenceMs, orderMs, deadlineMs, reservationTtlMs } = limits
  for (const [name, value] of Object.entries(limits)) {
    if (!(value > 0 && value < 2 ** 31)) throw limitsBad(`${name} is above 0`, { [name]: value })
  }
  if (bidWindowMs > silenceMs) {
    throw limitsBad('bidWindowMs is at most silenceMs', { bidWindowMs, silenceMs })
  }
  if (Math.max(silenceMs, orderMs) > deadlineMs) {
    throw limitsBad('deadlineMs covers them', { silenceMs, orderMs, deadlineMs })
  }
  if (deadlineMs >= reservationTtlMs) {
    throw limitsBad('a reservation outlives its placement', { deadlineMs, reservationTtlMs })
  }
  return limits
}

function limitsBad(rule: string, values: Readonly<Record<string, number>>): MarketError {
  return new MarketError('market.limits_bad', {
    what: 'limits of placement that do not fit together',
    values,
    fix: `the rule is: ${rule}`,
  })
}
