import type { Channel } from '../net/channel.ts'
import {
  BROKEN,
  type EventLoop,
  PEER_ENDED,
  READABLE,
  type Watcher,
  WRITABLE,
} from '../net/event-loop.ts'
import { EAGAIN, ECONNRESET } from '../net/libc.ts'
import type { Memory } from '../net/memory.ts'
import { ReceivedChunks } from '../net/received-chunks.ts'

/** A stream as far as its channel uses it. */
export interface ChannelStream {
  /** @returns how many bytes were taken */
  send(memory: Memory, start: number, length: number): number
  endSending(): void
  /** So much of what came was read. */
  read(length: number): void
  /** Nobody uses it any more. */
  leave(isAbort: boolean): void
}

/** A stream of a client that carries bytes both ways, as a connection of its own would: a WebSocket (RFC 8441). */
export class Http2Channel implements Channel, Watcher {
  readonly #loop: EventLoop
  #stream: ChannelStream | undefined
  #watcher: Watcher | undefined
  /** Came and was not read: never more than the stream's window. */
  readonly #received = new ReceivedChunks()
  #flags = 0
  hasMore = false

  constructor(loop: EventLoop, stream: ChannelStream) {
    this.#loop = loop
    this.#stream = stream
  }

  // ---- what the stream says

  /** `chunk` is the channel's from now on. */
  came(chunk: Buffer): void {
    this.#received.push(chunk)
    this.#tell(READABLE)
  }

  peerEnded(): void {
    this.#received.hasEnded = true
    this.#tell(READABLE | PEER_ENDED)
  }

  drained(): void {
    this.#tell(WRITABLE)
  }

  /** The stream has ended both ways; what came of it is still read. */
  detach(): void {
    this.#stream = undefined
  }

  /** The stream is over before its end. */
  broke(): void {
    this.detach()
    this.#received.isBroken = true
    this.#tell(READABLE | BROKEN)
  }

  /** Later: whoever is told reads to where the client's frames are now. */
  #tell(flags: number): void {
    if (this.#watcher === undefined) return
    if (this.#flags === 0) this.#loop.atTurnEnd(this)
    this.#flags |= flags
  }

  ready(): void {
    const flags = this.#flags
    this.#flags = 0
    this.#watcher?.ready(flags)
  }

  // ---- what its user does

  receive(): number {
    const count = this.#received.receive()
    this.hasMore = count > 0 && this.#received.hasMore
    if (count > 0) this.#stream?.read(count)
    return count
  }

  send(memory: Memory, offset: number, length: number): number {
    if (this.#stream === undefined) return ECONNRESET
    const count = this.#stream.send(memory, offset, length)
    return count > 0 ? count : EAGAIN
  }

  endWrite(): void {
    this.#stream?.endSending()
  }

  watchedBy(_loop: EventLoop, watcher: Watcher): void {
    this.#watcher = watcher
  }

  close(_loop: EventLoop, isAbort: boolean): void {
    const stream = this.#stream
    this.#stream = undefined
    this.#watcher = undefined
    if (stream !== undefined && this.#received.bytes > 0) stream.read(this.#received.bytes)
    this.#received.clear()
    stream?.leave(isAbort)
  }
}
