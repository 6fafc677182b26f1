import { type EventLoop, type Watcher, WRITABLE } from '../net/event-loop.ts'
import { close, EAGAIN, EINTR } from '../net/libc.ts'
import { receiveMessage, sendMessage } from '../net/local-messages.ts'
import { decodeMessage, encodeMessage, type HandoverMessage } from './handover-message.ts'

export interface LineHandlers {
  /** The descriptors are the receiver's. */
  said(message: HandoverMessage, descriptors: readonly number[]): void
  /** Once, unless this side closed it. */
  ended(): void
}

/** One connection between two processes of the proxy. What it sends is bounded by what a process has. */
export class HandoverLine implements Watcher {
  #loop: EventLoop
  readonly #fd: number
  readonly #handlers: LineHandlers
  #queue: { bytes: Buffer; descriptors: readonly number[] }[] = []
  #isOpen = true

  constructor(loop: EventLoop, fd: number, handlers: LineHandlers) {
    this.#loop = loop
    this.#fd = fd
    this.#handlers = handlers
    loop.add(fd, this)
  }

  /** Another loop watches it from now on. */
  moveTo(loop: EventLoop): void {
    if (!this.#isOpen) return
    this.#loop.remove(this.#fd)
    this.#loop = loop
    loop.add(this.#fd, this)
  }

  /** All that was said has gone out. */
  get isIdle(): boolean {
    return this.#queue.length === 0
  }

  say(message: HandoverMessage, descriptors: readonly number[] = []): void {
    this.#queue.push({ bytes: encodeMessage(message), descriptors })
    this.#flush()
  }

  ready(flags: number): void {
    if ((flags & WRITABLE) !== 0) this.#flush()
    while (this.#isOpen) {
      const got = receiveMessage(this.#fd)
      if (got === EINTR) continue
      if (got === EAGAIN) return
      if (typeof got === 'number') {
        this.#end()
        return
      }
      this.#take(got.bytes, got.descriptors)
    }
  }

  #take(bytes: Buffer, descriptors: readonly number[]): void {
    let message: HandoverMessage
    try {
      message = decodeMessage(bytes)
    } catch {
      for (const fd of descriptors) close(fd) // of a program that we do not understand
      this.#end()
      return
    }
    this.#handlers.said(message, descriptors)
  }

  #flush(): void {
    while (this.#isOpen) {
      const [next] = this.#queue
      if (next === undefined) return
      const sent = sendMessage(this.#fd, next.bytes, next.descriptors)
      if (sent === EINTR) continue
      if (sent === EAGAIN) return
      if (sent < 0) {
        this.#end()
        return
      }
      this.#queue.shift()
    }
  }

  #end(): void {
    if (!this.#isOpen) return
    this.close()
    this.#handlers.ended()
  }

  /** What was not sent yet is not sent. */
  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#queue = []
    this.#loop.closeFd(this.#fd)
  }
}
