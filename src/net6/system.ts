import { spawn } from 'node:child_process'
import { errorCode, startDeadline } from '#base'
import { Net6Error } from './errors.ts'

const TOOL_DEADLINE_MS = 30_000
const OUTPUT_CHARS_MAX = 64 << 20

export interface ToolOptions {
  readonly signal?: AbortSignal | undefined
  readonly input?: string
  /** Exit codes that are answers, not failures. @default [0] */
  readonly okCodes?: readonly number[]
}

export interface ToolResult {
  readonly exitCode: number
  readonly stdout: string
}

/** The system tools of one host: this machine's, or those of a host of a planet. */
export interface System {
  /** The words before every command line: how it gets to the host. Empty: it is here. */
  readonly enter: readonly string[]
  /** Runs a tool to its end. @throws Net6Error net6.tool_failed, net6.host_unable: it is not installed */
  run(command: string, args: readonly string[], options?: ToolOptions): Promise<ToolResult>
}

/** @param enter such as `nsenter --target PID --net --mount --`; absent: this host */
export function openSystem(enter: readonly string[] = []): System {
  return {
    enter,
    run: (command, args, options = {}) => runTool([...enter, command, ...args], options),
  }
}

async function runTool(
  words: readonly string[],
  { signal, input = '', okCodes = [0] }: ToolOptions,
): Promise<ToolResult> {
  const [command = '', ...args] = words
  using deadline = startDeadline(command, TOOL_DEADLINE_MS, { signal })
  deadline.signal.throwIfAborted()
  const child = spawn(command, args, {
    signal: deadline.signal,
    killSignal: 'SIGKILL',
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C' },
  })
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
  const ended = Promise.withResolvers<number | null>()
  let cause: unknown
  child.on('error', (error) => {
    cause = error
    if (child.pid === undefined) ended.resolve(null) // it never began
  })
  child.on('close', ended.resolve)
  child.stdin.on('error', () => child.stdin.destroy()) // it ended early: its status says why
  child.stdin.end(input)
  const exitCode = await ended.promise
  if (exitCode !== null && okCodes.includes(exitCode)) return { exitCode, stdout: stdout() }
  deadline.signal.throwIfAborted()
  throw failed(words, stderr() || stdout(), cause)
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = ''
  stream.setEncoding('utf8')
  stream.on('data', (piece: string) => {
    text = (text + piece).slice(-OUTPUT_CHARS_MAX)
  })
  return () => text
}

function failed(words: readonly string[], said: string, cause: unknown): Net6Error {
  const command = words.join(' ')
  if (errorCode(cause) === 'ENOENT') {
    return new Net6Error('net6.host_unable', {
      what: 'a system tool is not installed',
      values: { command },
      fix: 'npm run setup',
      cause,
    })
  }
  return new Net6Error('net6.tool_failed', {
    what: 'a system tool failed',
    values: { command, said: said.trim() },
    cause,
  })
}
