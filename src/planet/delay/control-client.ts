import { createConnection } from 'node:net'
import { errorCode } from '#base'
import {
  type ControlReply,
  type ControlRequest,
  REPLY_BYTES_MAX,
  type SetDelayRequest,
} from './control.ts'
import { DelayError, type DelayErrorCode } from './errors.ts'
import type { LinkStats } from './link.ts'

const REPLY_DEADLINE_MS = 5_000

/** What every link has carried, held and dropped so far. @throws DelayError delay.unreachable */
export async function readDelayStats(
  controlSocket: string,
  signal?: AbortSignal,
): Promise<readonly LinkStats[]> {
  return (await ask(controlSocket, { op: 'stats' }, signal)).links ?? []
}

/**
 * Changes a link's delay, both directions, for frames that enter it from now on. A jitter that is
 * not given becomes 0.
 * @throws DelayError delay.link_unknown, delay.request_bad, delay.unreachable
 */
export async function setLinkDelay(
  controlSocket: string,
  change: Omit<SetDelayRequest, 'op'>,
  signal?: AbortSignal,
): Promise<void> {
  await ask(controlSocket, { op: 'setDelay', ...change }, signal)
}

async function ask(path: string, request: ControlRequest, signal?: AbortSignal) {
  signal?.throwIfAborted()
  const deadline = AbortSignal.timeout(REPLY_DEADLINE_MS)
  let line: string
  try {
    line = await exchange(path, request, signal ? AbortSignal.any([signal, deadline]) : deadline)
  } catch (error) {
    signal?.throwIfAborted()
    throw new DelayError('delay.unreachable', {
      what: 'the delay process does not answer',
      values: { controlSocket: path, reason: errorCode(error) ?? error },
      cause: error,
    })
  }
  const reply = JSON.parse(line) as ControlReply // our own process wrote it
  if (reply.ok) return reply
  const { code, what, values } = reply.error
  throw new DelayError(code as DelayErrorCode, { what, values })
}

/** Sends one line, gives the first line that comes back. */
async function exchange(path: string, request: ControlRequest, signal: AbortSignal) {
  const socket = createConnection({ path, signal })
  try {
    socket.setEncoding('utf8')
    socket.write(`${JSON.stringify(request)}\n`)
    let text = ''
    for await (const piece of socket) {
      text += piece
      const end = text.indexOf('\n')
      if (end >= 0) return text.slice(0, end)
      if (text.length > REPLY_BYTES_MAX) throw new Error('the reply is too long')
    }
    throw new Error('the connection ended without a reply')
  } finally {
    socket.destroy()
  }
}
