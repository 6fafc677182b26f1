import { type Backoff, backoffMs, errorCode, type Random } from '#base'
import type { Entry, Outcome, Run } from './run.ts'

/** How a step may fail. */
export interface StepRule {
  /** For one try. Milliseconds. */
  readonly deadlineMs: number
  /** Failures after which it is given up; Infinity for what must come to an end. */
  readonly triesMax: number
  /** Fatal errors are tried again as well: for what must come to an end. */
  readonly isUnstoppable?: boolean
  /** Given up, the run goes on without it. */
  readonly isOptional?: boolean
  readonly backoff?: Backoff
}

export type Action =
  | { readonly type: 'act' | 'undo'; readonly step: string }
  /** Nothing before; wall clock. */
  | { readonly type: 'wait'; readonly untilMs: number }
  | { readonly type: 'finish'; readonly outcome: Outcome }

/** What a run needs next. */
export function decide(run: Run, nowMs: number): Action {
  const step = run.steps[run.at]
  if (step === undefined) {
    const outcome = run.way === 'forward' ? 'done' : (run.turned ?? 'failed')
    return { type: 'finish', outcome }
  }
  if (run.retryAtMs > nowMs) return { type: 'wait', untilMs: run.retryAtMs }
  return { type: run.way === 'forward' ? 'act' : 'undo', step }
}

export const DEFAULT_BACKOFF: Backoff = { baseMs: 200, capMs: 10_000 }

/** A try to undo is repeated so often before what it leaves behind is noted and left. */
export const UNDO_TRIES_MAX = 8

/** What is logged of a failure: another try later, or the turn back. */
export function afterFailure(
  run: Run,
  error: unknown,
  { rule, nowMs, random }: { rule: StepRule; nowMs: number; random: Random },
): Entry[] {
  const step = run.steps[run.at] ?? ''
  const text = describe(error)
  const failure = { type: 'failed', atMs: nowMs, step, error: text } as const
  const triesMax = run.way === 'back' ? UNDO_TRIES_MAX : rule.triesMax
  const isFatal = run.way === 'forward' && isFatalError(error) && rule.isUnstoppable !== true
  if (!isFatal && run.tries + 1 < triesMax) {
    const { backoff = DEFAULT_BACKOFF } = rule
    // At least half of the wait, or the first tries would all come at once.
    const waitMs = backoffMs(run.tries, backoff, random) / 2 + backoff.baseMs / 2
    return [{ ...failure, retryAtMs: nowMs + Math.ceil(waitMs) }]
  }
  if (run.way === 'back') return [failure]
  if (rule.isOptional === true) return [failure, { type: 'done', atMs: nowMs, step }]
  return [failure, { type: 'turned', atMs: nowMs, reason: 'failed', error: text }]
}

const isFatalError = (error: unknown): boolean => errorCode(error) === 'effect.fatal'

const ERROR_CHARS_MAX = 1_000

function describe(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.slice(0, ERROR_CHARS_MAX)
}
