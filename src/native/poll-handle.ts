import { dlopen, getCurrentEventLoop } from 'node:ffi'
import { NativeMemory } from './native-memory.ts'

const UV_POLL = 8
const UV_READABLE = 1
const READY = 0
const QUIET = 1

const { functions: uv } = dlopen(null, {
  uv_handle_size: { return: 'uint64', arguments: ['int32'] },
  uv_poll_init: { return: 'int32', arguments: ['pointer', 'pointer', 'int32'] },
  uv_poll_start: { return: 'int32', arguments: ['pointer', 'int32', 'pointer'] },
  uv_poll_stop: { return: 'int32', arguments: ['pointer'] },
  uv_handle_set_data: { return: 'void', arguments: ['pointer', 'pointer'] },
})

/** The loop's list of handles leads through their memory until the process ends. */
const heldByLibuv: NativeMemory[] = []

/**
 * libuv's watch of a descriptor: Node's loop wakes when there is something to read, or an error. No JavaScript runs
 * then: the callback is libuv's own `uv_handle_set_data`, which puts its status (0) in the first word of the handle, where
 * an immediate of the caller's can look at it without a system call.
 */
export class PollHandle implements Disposable {
  readonly #handle = new NativeMemory(Number(uv.uv_handle_size(UV_POLL)))
  #isBroken = false

  /** @returns the negated errno when libuv refuses the descriptor */
  static open(fd: number): PollHandle | number {
    const poll = new PollHandle()
    const { address } = poll.#handle
    const result = uv.uv_poll_init(getCurrentEventLoop(), address, fd) || poll.#start()
    if (result !== 0) return result
    heldByLibuv.push(poll.#handle)
    poll.#handle.words[0] = QUIET
    return poll
  }

  #start(): number {
    const { address } = this.#handle
    return uv.uv_poll_start(address, UV_READABLE, uv.uv_handle_set_data.pointer)
  }

  /** Whether the descriptor was ready since the last call, or had an error. HOT. */
  takeReady(): boolean {
    const { words } = this.#handle
    if (words[0] === QUIET) return false
    this.#isBroken = words[0] !== READY
    words[0] = QUIET
    return true
  }

  /** To be called when what was ready is taken: an error ends libuv's watch, and the read took the error away. */
  goOn(): void {
    if (this.#isBroken) this.#start()
    this.#isBroken = false
  }

  [Symbol.dispose](): void {
    uv.uv_poll_stop(this.#handle.address)
  }
}
