import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { errorCode, pollUntil } from '#base'
import { isAlive, type ProcessIdentity, signalPid } from './process-identity.ts'

const DEATH_DEADLINE_MS = 5_000

/** A child that was started by its predecessor is in the group of that one. */
export interface RememberedProcess extends ProcessIdentity {
  readonly group?: number
}

/** Remembers a child beyond the life of its supervisor. */
export function writePidFile(path: string, identity: RememberedProcess): void {
  writeFileSync(`${path}.new`, JSON.stringify(identity))
  renameSync(`${path}.new`, path)
}

export const removePidFile = (path: string) => rmSync(path, { force: true })

/** Undefined when there is none, or when it is not ours to read: then nothing is signalled. */
export function readPidFile(path: string): RememberedProcess | undefined {
  try {
    const { pid, startTicks, group } = JSON.parse(readFileSync(path, 'utf8'))
    if (!isPid(pid) || !Number.isInteger(startTicks)) return undefined
    return { pid, startTicks, ...(isPid(group) ? { group } : {}) }
  } catch (error) {
    if (error instanceof SyntaxError || errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

const isPid = (value: unknown): value is number => Number.isInteger(value) && Number(value) > 1

/**
 * Ends the child that a supervisor left which was killed. A process that got the same pid later is
 * told apart by its start, and left alone. Its whole process group goes with it.
 */
export async function endOrphan(path: string, signal?: AbortSignal): Promise<boolean> {
  const orphan = readPidFile(path)
  if (orphan === undefined || !isAlive(orphan)) {
    removePidFile(path)
    return false
  }
  signalPid(-(orphan.group ?? orphan.pid), 'SIGKILL')
  const options = { deadlineMs: DEATH_DEADLINE_MS, signal }
  await pollUntil(`the end of orphan ${orphan.pid}`, () => !isAlive(orphan), options)
  removePidFile(path)
  return true
}
