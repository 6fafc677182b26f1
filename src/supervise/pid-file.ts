import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { errorCode, pollUntil } from '#base'
import { isAlive, type ProcessIdentity, signalPid } from './process-identity.ts'

const DEATH_DEADLINE_MS = 5_000

/** Remembers a child beyond the life of its supervisor. */
export function writePidFile(path: string, identity: ProcessIdentity): void {
  writeFileSync(`${path}.new`, JSON.stringify(identity))
  renameSync(`${path}.new`, path)
}

export const removePidFile = (path: string) => rmSync(path, { force: true })

/** Undefined when there is none, or when it is not ours to read: then nothing is signalled. */
export function readPidFile(path: string): ProcessIdentity | undefined {
  try {
    const { pid, startTicks } = JSON.parse(readFileSync(path, 'utf8'))
    return Number.isInteger(pid) && pid > 1 && Number.isInteger(startTicks)
      ? { pid, startTicks }
      : undefined
  } catch (error) {
    if (error instanceof SyntaxError || errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

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
  signalPid(-orphan.pid, 'SIGKILL')
  const options = { deadlineMs: DEATH_DEADLINE_MS, signal }
  await pollUntil(`the end of orphan ${orphan.pid}`, () => !isAlive(orphan), options)
  removePidFile(path)
  return true
}
