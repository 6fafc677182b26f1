import { readFileSync } from 'node:fs'

/** A process, told apart from a later one that got the same pid by the time it started. */
export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks between boot and the start of the process. Source: proc(5), stat field 22. */
  readonly startTicks: number
}

/** Undefined when no such process exists. A zombie counts as gone. */
export function identify(pid: number): ProcessIdentity | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined // ENOENT or ESRCH: it ended
  }
  // The name stands in parentheses and may hold any character, even ')'.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (fields[0] === 'Z') return undefined
  return { pid, startTicks: Number(fields[19]) }
}

export function isAlive({ pid, startTicks }: ProcessIdentity): boolean {
  return identify(pid)?.startTicks === startTicks
}

/** Signals the process when it is still the same one. Returns false when it is gone. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false
  return signalPid(identity.pid, signal)
}

/**
 * Signals a process, or a process group by its negative id. Returns false when none is left: for
 * callers that have just seen it, or that started it and have not yet waited for its end.
 */
export function signalPid(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false
    throw error
  }
}
