import { FRAME_BYTES_MAX, WINDOW_DEFAULT, WINDOW_MAX } from './frame.ts'
import type { FrameWriter } from './frame-writer.ts'
import type { ServerStream } from './server-stream.ts'

/** Flow control of what is sent, and the streams that wait for it. */
export class SendWindow {
  readonly #out: FrameWriter
  #left: number = WINDOW_DEFAULT
  /** Of streams that begin. */
  initial: number = WINDOW_DEFAULT
  /** In the order in which they go on. */
  readonly #blocked = new Set<ServerStream>()
  #hasGrown = false

  constructor(out: FrameWriter) {
    this.#out = out
  }

  /** @returns how many bytes were taken. HOT. */
  data(stream: ServerStream, bytes: Uint8Array, start: number, length: number): number {
    const count = Math.min(length, this.#left, stream.sendWindow)
    if (count < length) this.#blocked.add(stream)
    if (count <= 0) return 0
    for (let at = 0; at < count; at += FRAME_BYTES_MAX)
      this.#out.data(stream.id, bytes, start + at, Math.min(FRAME_BYTES_MAX, count - at), false)
    this.#left -= count
    stream.sendWindow -= count
    return count
  }

  /** @returns false: the window has outgrown what there can be (RFC 9113, section 6.9.1) */
  grow(more: number): boolean {
    this.#left += more
    this.#hasGrown = true
    return this.#left <= WINDOW_MAX
  }

  growStream(stream: ServerStream, more: number): boolean {
    stream.sendWindow += more
    this.#hasGrown = true
    return stream.sendWindow <= WINDOW_MAX
  }

  /** Of those that are open, too (section 6.9.2). */
  setInitial(value: number, streams: Iterable<ServerStream>): boolean {
    const more = value - this.initial
    this.initial = value
    let isFine = true
    for (const stream of streams) isFine = this.growStream(stream, more) && isFine
    return isFine
  }

  serveBlocked(): void {
    if (!this.#hasGrown) return
    this.#hasGrown = false
    for (const stream of [...this.#blocked]) {
      if (this.#left <= 0) return
      if (stream.sendWindow <= 0) continue
      this.#blocked.delete(stream) // who is blocked again goes to the end
      stream.windowOpened()
    }
  }

  forget(stream: ServerStream): void {
    this.#blocked.delete(stream)
  }
}
