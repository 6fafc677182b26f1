import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'

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

/**
 * Pids of every process that lives in one of these network namespaces (files that pin them), or that
 * was started with `NAME=value` in its environment. Never this process or one that it descends from.
 */
export function findProcesses(
  namespaceFiles: readonly string[],
  [name, value]: readonly [string, string],
): number[] {
  const namespaces = new Set(namespaceFiles.flatMap(namespaceOf))
  const mark = `${name}=${value}`
  const own = ancestry(process.pid)
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => !own.has(pid) && identify(pid) !== undefined)
    .filter((pid) => livesIn(pid, namespaces) || hasMark(pid, mark))
}

function namespaceOf(file: string): string[] {
  const found = statSync(file, { throwIfNoEntry: false })
  return found === undefined ? [] : [`net:[${found.ino}]`]
}

function livesIn(pid: number, namespaces: ReadonlySet<string>): boolean {
  try {
    return namespaces.has(readlinkSync(`/proc/${pid}/ns/net`))
  } catch {
    return false // it ended meanwhile
  }
}

function hasMark(pid: number, mark: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(mark)
  } catch {
    return false // it ended meanwhile
  }
}

function ancestry(pid: number): Set<number> {
  const pids = new Set<number>()
  for (let at = pid; at > 1 && !pids.has(at); at = parentOf(at)) pids.add(at)
  return pids
}

function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return 0
  }
}
