/**
 * A connection into the guest: Firecracker listens on a unix socket, reads one line that names the
 * port, answers `OK PORT`, and is a pipe from then on. Until the guest's driver is up it takes the
 * connection and says nothing at all, so every attempt has its own short deadline and its own
 * connection. Source: Firecracker, docs/vsock.md.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { errorCode, retry, startDeadline } from '#base'
import { FirecrackerError } from './errors.ts'

/** Where init listens; native/init/init.c has the same. */
export const AGENT_PORT = 10_000

export interface VsockCall {
  readonly signal?: AbortSignal | undefined
  /** For all attempts. @default 30_000 */
  readonly deadlineMs?: number
  /** For the guest's answer to one attempt. @default 500 */
  readonly attemptMs?: number
}

const CONNECT_MS = 30_000
const ATTEMPT_MS = 500
const BACKOFF = { baseMs: 20, capMs: 200 }
/** "OK ", ten digits of a port, newline. */
const ANSWER_BYTES_MAX = 32
const NEWLINE = 0x0a

/** @throws FirecrackerError guest.vsock_closed, guest.vmm_gone; BaseError base.deadline_exceeded. */
export function connectVsock(
  path: string,
  port: number = AGENT_PORT,
  options: VsockCall = {},
): Promise<Duplex> {
  const { deadlineMs = CONNECT_MS, attemptMs = ATTEMPT_MS, signal } = options
  return retry((whole) => attempt(path, port, attemptMs, whole), {
    operation: 'connecting to the guest',
    deadlineMs,
    signal,
    ...BACKOFF,
    isTransient: (error) =>
      ['guest.vsock_closed', 'base.deadline_exceeded'].includes(errorCode(error) ?? ''),
  })
}

async function attempt(path: string, port: number, attemptMs: number, signal: AbortSignal) {
  using deadline = startDeadline('the guest to take a connection', attemptMs, { signal })
  const socket = connect(path)
  try {
    await once(socket, 'connect', { signal: deadline.signal })
    socket.write(`CONNECT ${port}\n`)
    await readAccepted(socket, path, deadline.signal)
    return socket
  } catch (error) {
    socket.destroy()
    deadline.signal.throwIfAborted()
    if (error instanceof FirecrackerError) throw error
    throw isNobodyThere(error) ? vmmGone(path, error) : closed(path, error)
  }
}

/** Reads the answer's line and not a byte more: those are the guest's. */
async function readAccepted(socket: Socket, path: string, signal: AbortSignal): Promise<void> {
  let line = Buffer.alloc(0)
  while (!line.includes(NEWLINE)) {
    const chunk: Buffer | null = socket.read()
    if (chunk === null) {
      if (socket.readableEnded || socket.destroyed) throw closed(path)
      await nextReadable(socket, signal)
      continue
    }
    line = Buffer.concat([line, chunk])
    if (line.length > ANSWER_BYTES_MAX && !line.subarray(0, ANSWER_BYTES_MAX).includes(NEWLINE)) {
      throw badAnswer(line)
    }
  }
  const end = line.indexOf(NEWLINE)
  const answer = line.subarray(0, end).toString('latin1')
  if (!/^OK \d{1,10}$/.test(answer)) throw badAnswer(line)
  if (line.length > end + 1) socket.unshift(line.subarray(end + 1))
}

/** Resolves at the next bytes, at the end or at an error; the caller looks which. */
function nextReadable(socket: Socket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const names = ['readable', 'end', 'close'] as const
    const settle = (act: () => void) => {
      for (const name of names) socket.off(name, onSeen)
      socket.off('error', onError)
      signal.removeEventListener('abort', onAbort)
      act()
    }
    const onSeen = () => settle(resolve)
    const onError = (error: Error) => settle(() => reject(error))
    const onAbort = () => settle(() => reject(signal.reason))
    for (const name of names) socket.on(name, onSeen)
    socket.on('error', onError)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
}

function closed(path: string, cause?: unknown): FirecrackerError {
  return new FirecrackerError('guest.vsock_closed', {
    what: 'the guest did not take the connection',
    values: { path },
    ...(cause === undefined ? {} : { cause }),
  })
}

/** No socket, or one that its process left behind: no attempt will do better. */
const isNobodyThere = (error: unknown) =>
  ['ENOENT', 'ECONNREFUSED'].includes(errorCode(error) ?? '')

function vmmGone(path: string, cause: unknown): FirecrackerError {
  return new FirecrackerError('guest.vmm_gone', {
    what: 'no Firecracker listens for the guest',
    values: { path },
    cause,
  })
}

function badAnswer(line: Buffer): FirecrackerError {
  return new FirecrackerError('guest.vmm_answer_bad', {
    what: 'not an answer to a vsock connection',
    values: { line: line.subarray(0, ANSWER_BYTES_MAX).toString('latin1') },
  })
}
