import { type ChildProcess, spawn } from 'node:child_process'
import { ProxyError } from '../errors.ts'
import { type ListeningSocket, SOCKETS_VARIABLE } from './sockets.ts'

const READY_DEADLINE_MS = 30_000
const FIRST_FD = 4 // 0 to 2, and the channel on which it says that it is ready
export const READY = 'ready'

/**
 * Starts this same program again with the listening sockets in its hands: a worker, or the successor
 * that takes over. Both processes then accept from the same queues, so that no connection is lost.
 * @param detached it is of no group with this one, so that no supervisor ends it with this one
 */
export function startChild(
  sockets: readonly ListeningSocket[],
  env: Record<string, string>,
  { detached = false } = {},
): ChildProcess {
  const handed = sockets.map((socket, index) => ({ ...socket, fd: FIRST_FD + index }))
  return spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...sockets.map(({ fd }) => fd)],
    env: { ...process.env, ...env, [SOCKETS_VARIABLE]: JSON.stringify(handed) },
  })
}

/**
 * Waits until the child serves.
 * @throws ProxyError proxy.takeover_failed: it ended, or said nothing in time.
 */
export function childReady(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      settle()
      reject(
        new ProxyError('proxy.takeover_failed', {
          what: 'the new process does not serve',
          values: { why },
          fix: 'see its log; the old one goes on',
        }),
      )
    }
    const onMessage = (message: unknown) => {
      if (message !== READY) return
      settle()
      child.disconnect()
      resolve()
    }
    const onExit = (code: number | null) => fail(`exit ${code}`)
    const onError = (error: Error) => fail(error.message)
    const timer = setTimeout(() => fail('silence'), READY_DEADLINE_MS)
    const settle = () => {
      clearTimeout(timer)
      child.off('message', onMessage).off('exit', onExit).off('error', onError)
    }
    child.on('message', onMessage).once('exit', onExit).once('error', onError)
  })
}

/** Tells the parent, if there is one that waits, that this process serves. */
export function tellReady(): void {
  if (process.send === undefined) return
  process.send(READY)
}
