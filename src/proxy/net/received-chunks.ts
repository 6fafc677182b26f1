import { INPUT_BYTES, INPUT_MARGIN, input } from './channel.ts'
import { EAGAIN, ECONNRESET } from './libc.ts'

/** What came for a channel that is no socket of ours, until its user reads it as from one. */
export class ReceivedChunks {
  readonly #chunks: Buffer[] = []
  /** What of the first one was read. */
  #at = 0
  /** Bytes that wait. */
  bytes = 0
  /** The other side has said all. */
  hasEnded = false
  isBroken = false

  push(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.bytes += chunk.length
  }

  /** Another read has something to tell at once. */
  get hasMore(): boolean {
    return this.#chunks.length > 0 || this.hasEnded || this.isBroken
  }

  /** Into `input`, as Channel.receive does. @returns bytes, 0 at the end, EAGAIN, or ECONNRESET. HOT. */
  receive(): number {
    const chunk = this.#chunks[0]
    if (chunk === undefined) {
      if (this.isBroken) return ECONNRESET
      return this.hasEnded ? 0 : EAGAIN
    }
    const count = Math.min(chunk.length - this.#at, INPUT_BYTES)
    chunk.copy(input.bytes, INPUT_MARGIN, this.#at, this.#at + count)
    this.#at += count
    this.bytes -= count
    if (this.#at === chunk.length) {
      this.#chunks.shift()
      this.#at = 0
    }
    return count
  }

  clear(): void {
    this.#chunks.length = 0
    this.#at = 0
    this.bytes = 0
  }
}
