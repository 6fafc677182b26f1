import { GodwitError } from '#base'
import { exitCodeOf } from '#setup'

/** How one failed command ends: what is printed, where, and the exit code. */
export interface Ending {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: number
}

/**
 * An error as the user sees it. With `--json` it is one JSON object on standard output, so that a
 * script finds its answer and its failure in the same place. A stack shows only when GODWIT_DEBUG
 * is 1: what we did not throw on purpose is a bug to report.
 */
export function describeError(error: unknown, options: { json: boolean; debug: boolean }): Ending {
  const exitCode = error instanceof GodwitError ? exitCodeOf(error.code) : 1
  if (options.json) {
    const wire = error instanceof GodwitError ? error.toJSON() : unexpected(error)
    return { stdout: `${JSON.stringify(wire)}\n`, stderr: '', exitCode }
  }
  const stack = options.debug && error instanceof Error ? `${error.stack}\n` : ''
  return { stdout: '', stderr: `${describe(error)}${stack}`, exitCode }
}

function describe(error: unknown): string {
  if (!(error instanceof GodwitError)) {
    const hint = 'fix: this is a bug; GODWIT_DEBUG=1 shows where it happened\n'
    return `error: ${messageOf(error)}\n${hint}`
  }
  const values = Object.entries(error.values)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  const head = values.length === 0 ? error.what : `${error.what} (${values.join(', ')})`
  return `error: ${head}\n${error.fix === undefined ? '' : `fix: ${error.fix}\n`}`
}

function unexpected(error: unknown) {
  return { code: 'internal', error: messageOf(error), what: messageOf(error), values: {} }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
