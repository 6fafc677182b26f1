import { type Backoff, backoffMs, type Random } from '#base'
import type { MachineConfigJson } from '../machine-json.ts'
import type { GuestExit } from '../model/guest-exit.ts'

/** Failures in a row, as far as they count together. */
export interface RestartHistory {
  readonly count: number
  /** Of the oldest that counts; wall clock. */
  readonly sinceMs: number
}

export const noRestarts: RestartHistory = { count: 0, sinceMs: 0 }

export type RestartDecision =
  | { readonly restarts: true; readonly delayMs: number; readonly history: RestartHistory }
  | { readonly restarts: false; readonly history: RestartHistory; readonly isExhausted: boolean }

/** Tries are counted within it. Source: the guide to the restart policy. */
const WINDOW_MS = 5 * 60_000
const RETRIES_DEFAULT = 10
/** Ten tries fit into the window. */
const BACKOFF: Backoff = { baseMs: 1_000, capMs: 10_000 }

/**
 * Whether a machine that ended by itself is started again. `always`: every time. `on-failure`, and without
 * a policy: after a failure, up to `max_retries` (absent or 0: 10) within five minutes. `no`: never.
 * `spot-price` is for a market of prices that does not exist here: as `on-failure`.
 */
export function decideRestart(
  config: MachineConfigJson,
  exit: GuestExit | undefined,
  { history, nowMs, random }: { history: RestartHistory; nowMs: number; random: Random },
): RestartDecision {
  const { policy, retriesMax } = policyOf(config)
  const isFresh = nowMs - history.sinceMs >= WINDOW_MS || nowMs < history.sinceMs
  const { count, sinceMs } = isFresh ? { count: 0, sinceMs: nowMs } : history
  const isFailure = exit === undefined || exit.exitCode !== 0 || exit.guestExitCode !== 0
  if (policy === 'no' || (policy === 'on-failure' && !isFailure)) {
    return { restarts: false, history: { count, sinceMs }, isExhausted: false }
  }
  if (policy === 'on-failure' && count >= retriesMax) {
    return { restarts: false, history: { count, sinceMs }, isExhausted: true }
  }
  const delayMs = Math.ceil((BACKOFF.baseMs + backoffMs(count, BACKOFF, random)) / 2)
  return { restarts: true, delayMs, history: { count: count + 1, sinceMs } }
}

function policyOf({ restart }: MachineConfigJson): {
  policy: 'always' | 'on-failure' | 'no'
  retriesMax: number
} {
  const { policy, max_retries: retries } = (restart ?? {}) as Record<string, unknown>
  const retriesMax =
    typeof retries === 'number' && Number.isInteger(retries) && retries > 0
      ? retries
      : RETRIES_DEFAULT
  if (policy === 'always') return { policy, retriesMax }
  if (policy === 'no' || policy === 'never') return { policy: 'no', retriesMax }
  return { policy: 'on-failure', retriesMax }
}
