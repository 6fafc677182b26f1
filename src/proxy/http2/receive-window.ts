import { Type, WINDOW_DEFAULT } from './frame.ts'
import type { FrameWriter } from './frame-writer.ts'
import type { ServerStream } from './server-stream.ts'

/** What a peer may send on a stream before it is handed on: as much as waits here for a machine. */
export const STREAM_WINDOW: number = 256 << 10
/** Of all streams of a connection. */
export const CONNECTION_WINDOW: number = 1 << 20

/** Flow control of what the peer sends (RFC 9113, section 5.2). */
export class ReceiveWindow {
  readonly #out: FrameWriter
  readonly initial: number = STREAM_WINDOW
  #left: number = CONNECTION_WINDOW
  #given = 0

  constructor(out: FrameWriter) {
    this.#out = out
  }

  /** Behind our SETTINGS. */
  open(): void {
    this.#out.short(Type.windowUpdate, 0, 0, CONNECTION_WINDOW - WINDOW_DEFAULT)
  }

  /** A DATA frame came. @returns false: the peer had to wait */
  take(length: number): boolean {
    this.#left -= length
    return this.#left >= 0
  }

  /** The peer may send as much again. It is told when that is more than it has left: seldom, and before it stands. */
  give(length: number): void {
    this.#given += length
    if (this.#given === 0 || this.#given < this.#left) return
    this.#out.short(Type.windowUpdate, 0, 0, this.#given)
    this.#left += this.#given
    this.#given = 0
  }

  giveStream(stream: ServerStream, length: number): void {
    stream.returned += length
    const { returned, receiveWindow, hasPeerEnded } = stream
    if (hasPeerEnded || returned === 0 || returned < receiveWindow) return
    this.#out.short(Type.windowUpdate, 0, stream.id, stream.returned)
    stream.receiveWindow += stream.returned
    stream.returned = 0
  }
}
