import { Duplex } from 'node:stream'
import { type Channel, INPUT_MARGIN, input } from './channel.ts'
import {
  BROKEN,
  type EventLoop,
  LEAVING,
  PEER_ENDED,
  READABLE,
  type Watcher,
  WRITABLE,
} from './event-loop.ts'
import { EAGAIN } from './libc.ts'
import type { Outbox } from './outbox.ts'

/** A channel as a Node stream: for protocols that a Node library speaks. LEAVING is its event `leaving`. */
export class ChannelDuplex extends Duplex implements Watcher {
  readonly #channel: Channel
  readonly #outbox: Outbox
  readonly #loop: EventLoop
  #isReadable = true
  #isEnding = false
  #wantsInput = false
  #written: ((error?: Error | null) => void) | undefined
  #isClosed = false

  constructor(channel: Channel, outbox: Outbox, loop: EventLoop) {
    super({ allowHalfOpen: true })
    this.#channel = channel
    this.#outbox = outbox
    this.#loop = loop
  }

  ready(flags: number): void {
    if (this.#isClosed) return
    this.#loop.letNodeRun()
    if (flags & LEAVING) this.emit('leaving')
    if (flags & PEER_ENDED) this.#isEnding = true
    if (flags === 0 || flags & (READABLE | BROKEN | PEER_ENDED)) this.#isReadable = true
    if (flags & WRITABLE && this.#outbox.isFull && this.#outbox.drain()) this.#finishWrite()
    if (this.#outbox.isBroken) this.destroy()
    else this.#pump()
  }

  #pump(): void {
    while (this.#isReadable && this.#wantsInput) {
      const count = this.#channel.receive()
      if (count === EAGAIN) {
        this.#isReadable = false
      } else if (count > 0) {
        if (!this.#channel.hasMore && !this.#isEnding) this.#isReadable = false
        this.#wantsInput = this.push(
          Buffer.from(input.bytes.subarray(INPUT_MARGIN, INPUT_MARGIN + count)),
        )
      } else if (count === 0) {
        this.#isReadable = false
        this.push(null)
      } else {
        this.#isReadable = false
        this.destroy()
      }
    }
  }

  override _read(): void {
    this.#wantsInput = true
    this.#pump()
  }

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error?: Error | null) => void,
  ): void {
    this.#send(chunk)
    this.#settle(done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    for (const { chunk } of chunks) this.#send(chunk)
    this.#settle(done)
  }

  #send(chunk: Buffer): void {
    const { writer } = this.#outbox
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
      const end = Math.min(chunk.length, at + PIECE_BYTES)
      if (writer.at + PIECE_BYTES > STAGE_ROOM_BYTES) this.#outbox.flush()
      writer.copy(chunk, at, end)
    }
  }

  #settle(done: (error?: Error | null) => void): void {
    this.#outbox.flush()
    if (this.#outbox.isFull) this.#written = done
    else done(this.#outbox.isBroken ? new Error('the connection broke') : null)
  }

  #finishWrite(): void {
    const done = this.#written
    this.#written = undefined
    done?.(null)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#outbox.end()
    done(null)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#isClosed) {
      this.#isClosed = true
      this.#outbox.dispose()
      this.#channel.close(this.#loop, error !== null)
    }
    done(error)
  }
}

const PIECE_BYTES = 64 << 10
const STAGE_ROOM_BYTES = 256 << 10
