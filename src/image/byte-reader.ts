import { ImageError } from './errors.ts'

/** Takes exact counts of bytes from a stream of pieces; holds one piece, plus what `take` asks for. */
export class ByteReader {
  readonly #pieces: AsyncIterator<Uint8Array>
  #piece: Uint8Array = new Uint8Array(0)
  #position = 0

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.#pieces = pieces[Symbol.asyncIterator]()
  }

  /** Bytes taken or skipped so far. */
  get position(): number {
    return this.#position
  }

  /** 1 to `bytesMax` bytes, a view; empty at the end of the stream. */
  async some(bytesMax: number): Promise<Uint8Array> {
    while (this.#piece.length === 0) {
      const { done, value } = await this.#pieces.next()
      if (done) return this.#piece
      this.#piece = value
    }
    const taken = this.#piece.subarray(0, bytesMax)
    this.#piece = this.#piece.subarray(taken.length)
    this.#position += taken.length
    return taken
  }

  /** `count` bytes, or undefined when the stream ended just here. @throws ImageError image.archive_bad */
  async take(count: number): Promise<Buffer | undefined> {
    const out = Buffer.allocUnsafe(count)
    for (let at = 0; at < count; ) {
      const piece = await this.some(count - at)
      if (piece.length === 0) {
        if (at === 0) return undefined
        throw cut()
      }
      out.set(piece, at)
      at += piece.length
    }
    return out
  }

  /** @throws ImageError image.archive_bad */
  async skip(count: number): Promise<void> {
    for (let left = count; left > 0; ) {
      const { length } = await this.some(left)
      if (length === 0) throw cut()
      left -= length
    }
  }

  async close(): Promise<void> {
    await this.#pieces.return?.()
  }
}

export const cut = () => new ImageError('image.archive_bad', { what: 'the archive ends early' })
