import type { Region } from './host.ts'
import { PlacementError } from './placement-error.ts'
import { type PlacementLimits, REFUSALS_MAX } from './placement-limits.ts'
import type { PlacementRequest } from './placement-request.ts'
import {
  type HostRefusal,
  isClosed,
  isLackOfRoom,
  isSilence,
  type RefusalReason,
} from './refusal.ts'

/** What is known of a placement that has not succeeded. */
export interface Failure {
  readonly refusals: HostRefusal[]
  readonly counts: Map<RefusalReason, number>
  /** Hosts that said anything at all. */
  answered: number
  /** Hosts with room that were not ordered from, for `ordersMax` others had refused. */
  untried: number
  /** That were tried. */
  readonly regions: Region[]
}

type FailureCode =
  | 'market.no_capacity'
  | 'market.no_match'
  | 'market.contended'
  | 'market.no_answer'
  | 'market.deadline'
  | 'market.unavailable'

const sentences: Readonly<Record<FailureCode, { what: string; fix: string }>> = {
  'market.no_capacity': {
    what: 'no host has room',
    fix: 'ask for less, name more regions, or try later',
  },
  'market.no_match': {
    what: 'no host satisfies the constraints',
    fix: 'change the region, host, hardware, volume or neighbours that are asked for',
  },
  'market.contended': {
    what: 'others took the room first, at one host after the other',
    fix: 'try again',
  },
  'market.no_answer': {
    what: 'no host answered',
    fix: 'try again; if it lasts, look whether hosts of the region are connected to NATS',
  },
  'market.deadline': {
    what: 'hosts were still being tried when time was up',
    fix: 'try again',
  },
  'market.unavailable': {
    what: 'there is no connection to NATS, so no host can be asked',
    fix: 'try again; machines that exist start and stop without it',
  },
}

/** The error that says it all. `code`: when the refusals do not decide it. */
export function placementFailed(
  code: FailureCode | undefined,
  failure: Failure,
  request: PlacementRequest,
  limits: PlacementLimits,
): PlacementError {
  const own = code ?? codeOf(failure)
  const { what, fix } = sentences[own]
  const values = {
    regions: failure.regions.length > 0 ? failure.regions : request.regions,
    answered: failure.answered,
    ...Object.fromEntries(failure.counts),
    ...(own === 'market.deadline' ? { deadlineMs: limits.deadlineMs } : {}),
  }
  return new PlacementError(own, { what, values, fix }, failure.refusals.slice(0, REFUSALS_MAX))
}

/** A full host that fits says more than many that do not. */
function codeOf({ refusals, answered, untried }: Failure): FailureCode {
  if (untried > 0) return 'market.contended'
  if (refusals.some((one) => isLackOfRoom(one) || isClosed(one))) return 'market.no_capacity'
  if (answered === 0 || refusals.some(isSilence)) return 'market.no_answer'
  return 'market.no_match'
}
