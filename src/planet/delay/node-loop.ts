import { dlopen, getCurrentEventLoop } from 'node:ffi'
import { performance } from 'node:perf_hooks'

/**
 * What another loop must know of Node's own to share its thread.
 * Source: uv_backend_fd, which libuv has for being embedded.
 */
export class NodeLoop {
  /**
   * Readable while Node has something to do: a signal, a socket, a finished file operation. Not when
   * a timer is due, and not for what Node began to watch since its loop last went round.
   */
  readonly fd: number
  #seenEvents = -1

  constructor() {
    const { functions } = dlopen(null, {
      uv_backend_fd: { return: 'int32', arguments: ['pointer'] },
    })
    this.fd = functions.uv_backend_fd(getCurrentEventLoop())
  }

  /**
   * Asked from setImmediate, once in each round of Node's loop: whether it brought nothing. Only then is
   * everything that Node waits for behind `fd`, and the thread may sleep on it.
   */
  wasQuiet(): boolean {
    const { events } = performance.nodeTiming.uvMetricsInfo
    const wasQuiet = events === this.#seenEvents
    this.#seenEvents = events
    return wasQuiet
  }
}
