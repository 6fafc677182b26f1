/** When machines are stopped that nobody needs. The same on all hosts of a region: they decide by one rule, each for itself. */
export interface AutostopTimes {
  /** From pass to pass, at the same moments on all hosts. */
  readonly periodMs: number
  /** A machine that was started for a request runs at least so long: starting and stopping in turns costs more. */
  readonly upMs: number
  /** After any stop in the region nobody decides for so long: the news of it may be under way. */
  readonly settleMs: number
}

/** The documented "every few minutes". */
export const AUTOSTOP_TIMES: AutostopTimes = {
  periodMs: 5 * 60_000,
  upMs: 5 * 60_000,
  settleMs: 2 * 60_000,
}
