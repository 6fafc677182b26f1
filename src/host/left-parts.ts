import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode } from '#base'
import { identify } from '#supervise'

/** A part that a supervisor leaves running to the program that replaces it in the same process. */
export interface LeftPart {
  readonly name: string
  readonly restarts: number
  /** By an operator; it stays so. */
  readonly isStopped: boolean
}

const fileIn = (runDir: string) => join(runDir, 'left-parts.json')

/** Right before this process is given to another program (execve), which keeps its pid, its start and its children. */
export function leaveParts(runDir: string, parts: readonly LeftPart[]): void {
  const by = identify(process.pid)
  writeFileSync(fileIn(runDir), JSON.stringify({ by, parts }), { mode: 0o600 })
}

/**
 * What the program before this one left in the same process; once. Nothing where there was none: what another process
 * left, which was killed at that moment, is nobody's children.
 */
export function takeLeftParts(runDir: string): readonly LeftPart[] {
  try {
    const { by, parts } = JSON.parse(readFileSync(fileIn(runDir), 'utf8'))
    const self = identify(process.pid)
    const isOurs = by?.pid === self?.pid && by?.startTicks === self?.startTicks
    return isOurs ? parts : []
  } catch (error) {
    if (error instanceof SyntaxError || errorCode(error) === 'ENOENT') return []
    throw error
  } finally {
    rmSync(fileIn(runDir), { force: true })
  }
}
