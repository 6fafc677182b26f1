import { runCommand } from '../command.ts'
import { findCommand } from '../packages.ts'
import type { ProbeContext } from './probe.ts'

/** Commands of one examination: none outlives `signal`, nor by itself `deadlineMs`. */
export function commandRunner(signal: AbortSignal, deadlineMs: number): ProbeContext['run'] {
  return (command, args, extra) =>
    runCommand(findCommand(command) ?? command, args, { signal, deadlineMs, ...extra })
}
