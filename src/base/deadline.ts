import { BaseError } from './base-error.ts'
import { type Clock, systemClock } from './clock.ts'

/**
 * The convention for waiting: whatever may take time takes an AbortSignal as its last option, checks
 * it before it begins, and hands it down to the system call. A deadline is a signal that aborts by
 * itself, with an error that names the operation.
 */
export interface Deadline extends Disposable {
  readonly signal: AbortSignal
}

export interface DeadlineOptions {
  /** The caller's own signal: the deadline's aborts with it. */
  readonly signal?: AbortSignal | undefined
  readonly clock?: Clock
}

/**
 * Starts a deadline for one operation. Dispose it when the operation ended (`using`), else its timer
 * lives on.
 *
 * ```ts
 * using deadline = startDeadline('pulling the image', 60_000, { signal })
 * await pull(reference, deadline.signal)
 * ```
 * The signal's reason is a BaseError base.deadline_exceeded, or the caller's own.
 */
export function startDeadline(
  operation: string,
  deadlineMs: number,
  { signal, clock = systemClock }: DeadlineOptions = {},
): Deadline {
  const controller = new AbortController()
  const onAbort = () => controller.abort(signal?.reason)
  if (signal?.aborted) onAbort()
  else signal?.addEventListener('abort', onAbort, { once: true })
  const timer = clock.setTimer(
    () => controller.abort(deadlineExceeded(operation, deadlineMs)),
    deadlineMs,
  )
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      timer[Symbol.dispose]()
      signal?.removeEventListener('abort', onAbort)
    },
  }
}

function deadlineExceeded(operation: string, deadlineMs: number): BaseError {
  return new BaseError('base.deadline_exceeded', {
    what: `${operation} did not end in time`,
    values: { deadlineMs },
  })
}

export interface PollOptions extends DeadlineOptions {
  readonly deadlineMs: number
  /** Between two looks. @default 20 */
  readonly intervalMs?: number
}

/**
 * Looks until `look` gives something other than undefined or false, and gives that. For states that
 * nobody announces: processes, files, other people's daemons.
 *
 * @throws BaseError base.deadline_exceeded, or whatever `look` throws, or the signal's reason.
 */
export async function pollUntil<T>(
  operation: string,
  look: (signal: AbortSignal) => T | undefined | false | Promise<T | undefined | false>,
  { deadlineMs, intervalMs = 20, signal, clock = systemClock }: PollOptions,
): Promise<T> {
  using deadline = startDeadline(operation, deadlineMs, { signal, clock })
  for (;;) {
    deadline.signal.throwIfAborted()
    const seen = await look(deadline.signal)
    if (seen !== undefined && seen !== false) return seen
    await clock.sleep(intervalMs, deadline.signal)
  }
}
