import { WireError } from './errors.ts'

/** Big-endian length of the payload in front of it. */
export const FRAME_HEAD_BYTES = 4
/** Written frames are no longer. */
export const FRAME_BYTES_MAX = 10 * 1024 * 1024

/**
 * Frames out of the chunks of a stream. A payload that lies within one chunk is a view into that chunk;
 * one that spans chunks is gathered in a buffer that doubles up to the length that the frame announces,
 * so neither a lie about the length nor many small chunks cost more than twice what has arrived.
 */
export class FrameReader {
  readonly #bytesMax: number
  #chunk: Uint8Array = EMPTY
  #at = 0
  readonly #head = new Uint8Array(FRAME_HEAD_BYTES)
  #headLength = 0
  #payload: Buffer = EMPTY
  #payloadLength = 0
  #expected = -1

  /** @param bytesMax of one payload */
  constructor(bytesMax: number = FRAME_BYTES_MAX) {
    this.#bytesMax = bytesMax
  }

  /** Memory that waits here for the rest of a frame. */
  get heldBytes(): number {
    return this.#payload.length + this.#chunk.length - this.#at
  }

  /** True: a frame has begun and is not there yet. At the end of a stream: it is cut off. */
  get isInFrame(): boolean {
    return this.#headLength > 0 || this.#expected >= 0 || this.#at < this.#chunk.length
  }

  /** Takes the next chunk, which belongs to the reader from now on. Call `next` until undefined. */
  push(chunk: Uint8Array): void {
    if (this.#at === this.#chunk.length) this.#chunk = chunk
    else this.#chunk = Buffer.concat([this.#chunk.subarray(this.#at), chunk])
    this.#at = 0
  }

  /**
   * The payload of the next whole frame, or undefined until more bytes came.
   * @throws WireError wire.frame_too_large: the stream cannot be read on.
   */
  next(): Uint8Array | undefined {
    if (this.#expected < 0 && !this.#readHead()) return undefined
    const left = this.#chunk.length - this.#at
    if (this.#payloadLength === 0 && left >= this.#expected) return this.#view()
    this.#gather(Math.min(left, this.#expected - this.#payloadLength))
    if (this.#payloadLength < this.#expected) return undefined
    const payload = this.#payload.subarray(0, this.#payloadLength)
    this.#payload = EMPTY
    this.#payloadLength = 0
    this.#expected = -1
    return payload
  }

  #readHead(): boolean {
    while (this.#headLength < FRAME_HEAD_BYTES) {
      if (this.#at === this.#chunk.length) return false
      this.#head[this.#headLength] = this.#chunk[this.#at] as number
      this.#headLength += 1
      this.#at += 1
    }
    const [a = 0, b = 0, c = 0, d = 0] = this.#head
    const length = a * 2 ** 24 + (b << 16) + (c << 8) + d
    if (length > this.#bytesMax) {
      throw new WireError('wire.frame_too_large', {
        what: 'a frame is longer than its limit',
        values: { bytes: length, bytesMax: this.#bytesMax },
      })
    }
    this.#headLength = 0
    this.#expected = length
    return true
  }

  #view(): Uint8Array {
    const payload = this.#chunk.subarray(this.#at, this.#at + this.#expected)
    this.#at += this.#expected
    this.#expected = -1
    return payload
  }

  #gather(count: number): void {
    if (count === 0) return
    const needed = this.#payloadLength + count
    if (needed > this.#payload.length) {
      const size = Math.min(this.#expected, Math.max(needed, this.#payload.length * 2))
      const grown = Buffer.allocUnsafeSlow(size)
      this.#payload.copy(grown, 0, 0, this.#payloadLength)
      this.#payload = grown
    }
    this.#payload.set(this.#chunk.subarray(this.#at, this.#at + count), this.#payloadLength)
    this.#payloadLength = needed
    this.#at += count
  }
}

const EMPTY: Buffer = Buffer.alloc(0)
