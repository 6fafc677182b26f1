import type { EventLoop, Watcher } from './event-loop.ts'
import {
  EAGAIN,
  EINTR,
  read,
  SHUT_WR,
  SO_LINGER,
  SOL_SOCKET,
  setsockopt,
  shutdown,
  write,
} from './libc.ts'
import { Memory } from './memory.ts'

/** Room before and after what is received, so that framing is written around data in place. */
export const INPUT_MARGIN = 64
export const INPUT_BYTES = 128 << 10

/** Every channel of the process receives here: what is in it holds until the next `receive`. */
export const input = new Memory(INPUT_MARGIN + INPUT_BYTES + INPUT_MARGIN, INPUT_MARGIN)

/** A stream of bytes both ways: over a socket, plain or TLS, or within a link to another proxy. */
export interface Channel {
  /** The last `receive` may not have got all that is there: ask again. False: wait to be told. */
  readonly hasMore: boolean
  /**
   * Reads into `input` at INPUT_MARGIN. @returns the byte count, 0 at the end, EAGAIN when there is
   * nothing now, else the negated errno.
   */
  receive(): number
  /** @returns how many bytes were taken, EAGAIN for none now, else the negated errno. */
  send(memory: Memory, offset: number, length: number): number
  /** No more will be sent; the peer sees the end after what was. */
  endWrite(): void
  /** From now on `watcher` is told of what happens here. */
  watchedBy(loop: EventLoop, watcher: Watcher): void
  /** Closes it. `isAbort`: the peer must not take what it has for the whole. */
  close(loop: EventLoop, isAbort: boolean): void
}

/** A channel that is a socket of its own. */
export interface SocketChannel extends Channel {
  readonly fd: number
}

const linger = new Memory(8) // struct linger { int on; int seconds }: on, 0 seconds sends RST
linger.bytes.writeInt32LE(1, 0)

export class TcpChannel implements SocketChannel {
  readonly fd: number
  hasMore = false

  constructor(fd: number) {
    this.fd = fd
  }

  receive(): number {
    const result = read(this.fd, input.at(INPUT_MARGIN), INPUT_BYTES)
    this.hasMore = result === INPUT_BYTES // a short read emptied the socket (epoll(7), question 9)
    return result === EINTR ? EAGAIN : result
  }

  send(memory: Memory, offset: number, length: number): number {
    return write(this.fd, memory.at(offset), length)
  }

  endWrite(): void {
    shutdown(this.fd, SHUT_WR)
  }

  watchedBy(loop: EventLoop, watcher: Watcher): void {
    loop.replace(this.fd, watcher)
  }

  close(loop: EventLoop, isAbort: boolean): void {
    if (isAbort) setsockopt(this.fd, SOL_SOCKET, SO_LINGER, linger.at(0), 8)
    loop.closeFd(this.fd)
  }
}
