import { execFile } from 'node:child_process'
import { PlanetError } from './errors.ts'

const COMMAND_DEADLINE_MS = 30_000
const OUTPUT_BYTES_MAX = 16 << 20

export interface RunOptions {
  /** Sent to the command's standard input. */
  readonly input?: string
  readonly signal?: AbortSignal | undefined
  /** After which it is killed. @default 30,000 */
  readonly deadlineMs?: number
}

/**
 * Runs a system command to its end and gives its standard output.
 *
 * @throws PlanetError planet.system with the command and what it said on standard error.
 */
export function run(
  command: string,
  args: readonly string[],
  { input, signal, deadlineMs = COMMAND_DEADLINE_MS }: RunOptions = {},
): Promise<string> {
  const options = {
    timeout: deadlineMs,
    killSignal: 'SIGKILL' as const,
    maxBuffer: OUTPUT_BYTES_MAX,
    ...(signal === undefined ? {} : { signal }),
  }
  return new Promise((resolve, reject) => {
    const child = execFile(command, [...args], options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      if (signal?.aborted) return reject(signal.reason)
      reject(
        new PlanetError('planet.system', {
          what: `${command} failed`,
          values: { command: [command, ...args].join(' '), said: stderr.trim() || error.message },
          fix: 'see what is missing: godwit doctor',
          cause: error,
        }),
      )
    })
    child.stdin?.on('error', () => child.stdin?.destroy()) // it ended early: its status says why
    child.stdin?.end(input ?? '')
  })
}

/** Runs lines of `ip` commands in one process, inside `netns` when given. Stops at the first failure. */
export async function ipBatch(
  lines: readonly string[],
  { netns, signal }: { netns?: string; signal?: AbortSignal | undefined } = {},
): Promise<void> {
  if (lines.length === 0) return
  const inside = netns === undefined ? [] : ['-n', netns]
  await run('ip', [...inside, '-batch', '-'], { input: `${lines.join('\n')}\n`, signal })
}
