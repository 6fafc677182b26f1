import { spawn } from 'node:child_process'
import { errorCode } from '#base'
import { SetupError } from './errors.ts'

export interface CommandOptions {
  /** Ends the command, and with it every process of its group. */
  readonly signal: AbortSignal
  readonly deadlineMs: number
  /** Written to standard input, which is empty without it. */
  readonly input?: string
  readonly cwd?: string
  /** Added to our own environment. LC_ALL is always C: we read what programs say. */
  readonly env?: Readonly<Record<string, string>>
  /** Sees the output as it comes; true ends the command early, as if it had ended by itself. */
  readonly isEnough?: (stdout: string) => boolean
}

export interface CommandResult {
  /** Undefined when a signal ended the command. */
  readonly exitCode: number | undefined
  /** The last OUTPUT_CHARS_MAX characters each. */
  readonly stdout: string
  readonly stderr: string
}

const OUTPUT_CHARS_MAX = 1 << 20

/**
 * Runs one command to its end, whatever its exit code. It gets a process group of its own, and
 * the whole group is gone when this returns or throws.
 *
 * @throws SetupError setup.command_missing, setup.command_late; the signal's reason on abort.
 */
export function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  options.signal.throwIfAborted()
  const deadline = AbortSignal.timeout(options.deadlineMs)
  const either = AbortSignal.any([options.signal, deadline])
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      detached: true,
      env: { ...process.env, ...options.env, LC_ALL: 'C' },
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    })
    let stdout = ''
    let stderr = ''
    const endGroup = () => killGroup(child.pid)
    either.addEventListener('abort', endGroup, { once: true })
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout = (stdout + text).slice(-OUTPUT_CHARS_MAX)
      if (options.isEnough?.(stdout) === true) endGroup()
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-OUTPUT_CHARS_MAX)
    })
    child.stdin.on('error', () => child.stdin.destroy()) // it may end without reading its input
    child.stdin.end(options.input ?? '')
    child.on('error', (cause) => {
      either.removeEventListener('abort', endGroup)
      reject(errorCode(cause) === 'ENOENT' ? missing(command) : cause)
    })
    child.on('exit', endGroup) // what it left behind would keep our pipes open
    child.on('close', (code) => {
      either.removeEventListener('abort', endGroup)
      if (options.signal.aborted) reject(options.signal.reason)
      else if (deadline.aborted) reject(late(command, args, options.deadlineMs, stdout + stderr))
      else resolve({ exitCode: code ?? undefined, stdout, stderr })
    })
  })
}

/** The same for a command whose failure is an error. @throws SetupError setup.command_failed too. */
export async function mustRun(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const result = await runCommand(command, args, options)
  if (result.exitCode === 0) return result
  throw new SetupError('setup.command_failed', {
    what: 'a command failed',
    values: {
      command: [command, ...args].join(' '),
      exitCode: result.exitCode,
      said: lastLine(result.stderr) ?? lastLine(result.stdout),
    },
  })
}

/** The last line that says anything; undefined when none does. */
export function lastLine(text: string): string | undefined {
  return text.trim().split('\n').at(-1)?.trim() || undefined
}

/** The first line that calls itself an error, else the last line: compilers point after it. */
export function firstError(text: string): string | undefined {
  return /^.*\b[Ee]rror: .*$/m.exec(text)?.[0].trim() ?? lastLine(text)
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error // ESRCH: the group is gone, which is the aim
  }
}

function missing(command: string): SetupError {
  return new SetupError('setup.command_missing', {
    what: 'a command is not installed',
    values: { command },
    fix: 'npm run setup',
  })
}

function late(command: string, args: readonly string[], deadlineMs: number, said: string) {
  return new SetupError('setup.command_late', {
    what: 'a command did not end in time',
    values: { command: [command, ...args].join(' '), deadlineMs, said: lastLine(said) },
  })
}
