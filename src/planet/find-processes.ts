import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { identify } from '#supervise'

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
