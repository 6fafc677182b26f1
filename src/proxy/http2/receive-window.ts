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

  /** The peer may send as much again; it is told of larger pieces only. */
  give(length: number): void {
    this.#given += length
    if (this.#given < CONNECTION_WINDOW / 2) return
    this.#out.short(Type.windowUpdate, 0, 0, this.#given)
    this.#left += this.#given
    this.#given = 0
  }

  giveStream(stream: ServerStream, length: number): void {
    stream.returned += length
    if (stream.returned < STREAM_WINDOW / 2 || stream.hasPeerEnded) return
    this.#out.short(Type.windowUpdate, 0, stream.id, stream.returned)
    stream.receiveWindow += stream.returned
    stream.returned = 0
  }
}
