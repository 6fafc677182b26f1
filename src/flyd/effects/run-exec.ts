import type { Readable } from 'node:stream'
import { errorCode, startDeadline } from '#base'
import { type Agent, exitCodeOf, type GuestProcess } from '#guest'
import { refuse } from '../errors.ts'
import type { ExecOptions, ExecResult } from '../host.ts'

/** Of each output; what comes after it is read and dropped. */
const OUTPUT_BYTES_MAX = 1 << 20
/** As shells have it. */
const COMMAND_NOT_FOUND = 127

/**
 * Runs a command in the machine, with all of its output in memory.
 *
 * @throws FlydError flyd.argument_bad, flyd.deadline_exceeded; AgentError
 */
export async function runExec(
  agent: Agent,
  { command, timeoutMs, stdin, container }: ExecOptions,
  signal: AbortSignal,
): Promise<ExecResult> {
  const [program, ...words] = command
  if (program === undefined || program === '') {
    throw refuse('flyd.argument_bad', 'invalid_argument: the command is empty')
  }
  if (container !== undefined) {
    throw refuse('flyd.argument_bad', `invalid_argument: the machine has no container ${container}`)
  }
  using deadline = startDeadline('the command', timeoutMs, { signal })
  let process: GuestProcess
  try {
    process = await agent.exec({ argv: [program, ...words] }, { signal: deadline.signal })
  } catch (error) {
    if (errorCode(error) !== 'guest.not_found') throw lateOr(error, deadline.signal, signal)
    const stderr = `${program}: command not found\n`
    return { exit_code: COMMAND_NOT_FOUND, exit_signal: 0, stdout: '', stderr }
  }
  const onAbort = () => process.abandon()
  deadline.signal.addEventListener('abort', onAbort, { once: true })
  if (deadline.signal.aborted) onAbort()
  try {
    process.stdin.on('error', () => undefined) // the command may end without reading it
    process.stdin.end(stdin)
    const outputs = [collect(process.stdout), collect(process.stderr)]
    const ending = await process.ended
    const [stdout = '', stderr = ''] = await Promise.all(outputs)
    if (deadline.signal.aborted) throw deadline.signal.reason
    const exitSignal = ending.kind === 'signaled' ? ending.signal : 0
    return { exit_code: exitCodeOf(ending), exit_signal: exitSignal, stdout, stderr }
  } catch (error) {
    throw lateOr(error, deadline.signal, signal)
  } finally {
    deadline.signal.removeEventListener('abort', onAbort)
  }
}

function lateOr(error: unknown, deadline: AbortSignal, caller: AbortSignal): unknown {
  if (caller.aborted) return caller.reason
  if (!deadline.aborted) return error
  const what = 'deadline_exceeded: the command did not end in time'
  return refuse('flyd.deadline_exceeded', what, error)
}

async function collect(output: Readable): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of output as AsyncIterable<Buffer>) {
    if (bytes < OUTPUT_BYTES_MAX) parts.push(part.subarray(0, OUTPUT_BYTES_MAX - bytes))
    bytes += part.length
  }
  return Buffer.concat(parts).toString()
}
