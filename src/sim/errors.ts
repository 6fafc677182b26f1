import { GodwitError } from '#base'

/** The simulator was used wrongly: by a scenario, a test or on the command line. */
export class SimError extends GodwitError<keyof typeof SimError.catalogue> {
  static override readonly catalogue = {
    'sim.scenario_unknown': { status: 404 },
    'sim.scenario_bad': { status: 500 },
    'sim.usage': { status: 400 },
    'sim.node_unknown': { status: 404 },
    'sim.node_down': { status: 409 },
  } as const
}

/**
 * An error as the operating system would give it to the code under test: match on `code`
 * (`ENOENT`, `EIO`, `ENOSPC`, `EMSGSIZE`) with #base's `errorCode`, as for real calls.
 */
export class SystemFault extends Error {
  readonly code: string
  /** The call that failed, by the name that the caller gave it: `wal.append`. */
  readonly operation: string

  constructor(code: string, operation: string, subject: string) {
    super(`${code}: ${operation} ${subject}`)
    this.name = 'SystemFault'
    this.code = code
    this.operation = operation
  }
}

/**
 * Thrown into the code of a node at the moment of its death, to unwind it. Catching it saves
 * nobody: the effects stopped before it was thrown, every later call through the dead
 * environment throws it again, and whatever the code throws in its place is ignored.
 */
export class CrashSignal extends Error {
  constructor(nodeId: string) {
    super(`node ${nodeId} has crashed: this code runs after its own death`)
    this.name = 'CrashSignal'
  }
}

const CAUSES_MAX = 10

/** True for a CrashSignal and for errors that wrap one in their chain of causes. */
export function isCrashSignal(error: unknown): boolean {
  let at = error
  for (let depth = 0; depth < CAUSES_MAX && at instanceof Error; depth += 1) {
    if (at instanceof CrashSignal) return true
    at = at.cause
  }
  return false
}
