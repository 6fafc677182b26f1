import { spawn } from 'node:child_process'
import { errorCode, startDeadline } from '#base'
import { VolumeError } from './errors.ts'

const TOOL_DEADLINE_MS = 120_000
const OUTPUT_CHARS_MAX = 64 << 20

export interface ToolOptions {
  readonly signal?: AbortSignal | undefined
  /** Exit codes that are answers, not failures. @default [0] */
  readonly okCodes?: readonly number[]
  /** Beside our own environment. */
  readonly env?: Readonly<Record<string, string>>
  /**
   * Must not be killed in the middle: it gets a session of its own, so that what kills our process group spares
   * it, and is asked to end, not made to. @default false
   */
  readonly isDelicate?: boolean
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
export async function runTool(
  command: string,
  words: readonly string[],
  { signal, okCodes = [0], env = {}, isDelicate = false }: ToolOptions = {},
): Promise<ToolResult> {
  using deadline = startDeadline(command, TOOL_DEADLINE_MS, { signal })
  deadline.signal.throwIfAborted()
  const child = spawn(command, words, {
    signal: deadline.signal,
    killSignal: isDelicate ? 'SIGTERM' : 'SIGKILL',
    detached: isDelicate,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env, LC_ALL: 'C' },
  })
  const [stdout, stderr] = [child.stdout, child.stderr].map(collect)
  const ended = Promise.withResolvers<number | null>()
  let cause: unknown
  child.on('error', (error) => {
    cause = error
    if (child.pid === undefined) ended.resolve(null) // it never began
  })
  child.on('close', ended.resolve)
  const exitCode = await ended.promise
  if (exitCode !== null && okCodes.includes(exitCode)) return { exitCode, stdout: stdout?.() ?? '' }
  signal?.throwIfAborted()
  throw failed([command, ...words].join(' '), stderr?.() ?? '', cause)
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = ''
  stream.setEncoding('utf8')
  stream.on('data', (piece: string) => {
    text = (text + piece).slice(-OUTPUT_CHARS_MAX)
  })
  return () => text
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
