import assert from 'node:assert/strict'

/** All times are milliseconds. */
export interface SwimOptions {
  /** One member is probed in each. */
  readonly probePeriodMs: number
  /** Without an ack by then, others are asked to probe for us. Longer than the longest round trip. */
  readonly ackTimeoutMs: number
  /** How many others are asked. */
  readonly indirectProbes: number
  /** From a failed probe of our own to declaring the member down. */
  readonly suspicionMs: number
  /** The same for a suspicion that we only heard of: longer, so that whoever probes decides. */
  readonly hearsayMs: number
  /** Rumours are also told to this many members at this period, while there are any. */
  readonly gossipPeriodMs: number
  readonly gossipTargets: number
  /** A rumour is told this often times the logarithm (base 10) of the cluster's size. */
  readonly tellsPerDecade: number
  /** A member is asked for members it knows: repairs what gossip has missed. */
  readonly announcePeriodMs: number
  /** The same while answers still name members that are new: a node that joins. */
  readonly joinPeriodMs: number
  /** A member that is down is asked whether it is back: how two halves of a cluster find each other again. */
  readonly revivePeriodMs: number
  /** One that is down for longer is asked at the announce period only. */
  readonly reviveForMs: number
  /** Down members are remembered, so that old rumours cannot raise them. */
  readonly rememberDownMs: number
}

export const DEFAULT_SWIM_OPTIONS: SwimOptions = {
  probePeriodMs: 1_250,
  ackTimeoutMs: 450,
  indirectProbes: 4,
  suspicionMs: 4_500,
  hearsayMs: 6_000,
  gossipPeriodMs: 500,
  gossipTargets: 3,
  tellsPerDecade: 8,
  announcePeriodMs: 60_000,
  joinPeriodMs: 1_000,
  revivePeriodMs: 3_000,
  reviveForMs: 600_000,
  rememberDownMs: 48 * 3_600_000,
}

export function checkSwimOptions(options: SwimOptions): SwimOptions {
  assert(options.ackTimeoutMs < options.probePeriodMs, 'an ack is late within its probe period')
  assert(options.probePeriodMs < options.suspicionMs, 'a suspect gets at least one more probe')
  assert(options.suspicionMs <= options.hearsayMs, 'who only heard of it waits longer')
  return options
}
