import { execFile } from 'node:child_process'
import { errorCode } from '#base'
import { VolumeError } from './errors.ts'

const TOOL_DEADLINE_MS = 120_000
const OUTPUT_BYTES_MAX = 64 << 20

export interface ToolOptions {
  readonly signal?: AbortSignal | undefined
  /** Exit codes that are answers, not failures. @default [0] */
  readonly okCodes?: readonly number[]
  /** Beside our own environment. */
  readonly env?: Readonly<Record<string, string>>
}

export interface ToolResult {
  readonly exitCode: number
  readonly stdout: string
}

/**
 * Runs a system tool to its end. It speaks English and plain ASCII, whatever the host is set to.
 *
 * @throws VolumeError volume.tool_failed, whose `values.said` is what it wrote to standard error.
 */
export function runTool(
  command: string,
  words: readonly string[],
  { signal, okCodes = [0], env = {} }: ToolOptions = {},
): Promise<ToolResult> {
  const options = {
    timeout: TOOL_DEADLINE_MS,
    killSignal: 'SIGKILL' as const,
    maxBuffer: OUTPUT_BYTES_MAX,
    env: { ...process.env, ...env, LC_ALL: 'C' },
    ...(signal === undefined ? {} : { signal }),
  }
  return new Promise((resolve, reject) => {
    const child = execFile(command, [...words], options, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : error.code
      if (typeof exitCode === 'number' && okCodes.includes(exitCode)) resolve({ exitCode, stdout })
      else if (signal?.aborted) reject(signal.reason)
      else reject(failed([command, ...words].join(' '), stderr, error))
    })
    child.stdin?.end()
  })
}

function failed(command: string, stderr: string, cause: unknown): VolumeError {
  const isMissing = errorCode(cause) === 'ENOENT'
  return new VolumeError('volume.tool_failed', {
    what: isMissing ? 'a system tool is not installed' : 'a system tool failed',
    values: { command, ...(isMissing ? {} : { said: stderr.trim() }) },
    ...(isMissing ? { fix: 'npm run setup' } : {}),
    cause,
  })
}
