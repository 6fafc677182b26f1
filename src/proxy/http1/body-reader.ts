import { ChunkedDecoder } from './chunked.ts'
import { Framing } from './response-head.ts'

/**
 * Finds the data of one body in the bytes that follow its head, and its end. Source: RFC 9112, section 6.3.
 * Reusable after `begin`.
 */
export class BodyReader {
  #framing: Framing = Framing.none
  #left = 0
  #decoder: ChunkedDecoder | undefined
  /** The body is read in full; never true of one that ends with its connection. */
  isDone = true
  /** The last `read` used up to here; what follows belongs to the next message. */
  consumed = 0

  /** @param length of the body, where the framing is by length */
  begin(framing: Framing, length: number): void {
    this.#framing = framing
    this.#left = length
    this.isDone = framing === Framing.none
    if (framing !== Framing.chunked) return
    this.#decoder ??= new ChunkedDecoder()
    this.#decoder.reset()
  }

  get endsWithConnection(): boolean {
    return this.#framing === Framing.close
  }

  /** The trailer section with its last empty line; undefined when there was none. */
  get trailer(): Buffer | undefined {
    return this.#framing === Framing.chunked ? this.#decoder?.trailer : undefined
  }

  /**
   * Reads bytes[start, end). The data in it stands at `start`, in a row. HOT.
   * @returns how many bytes of data there are, or a Fault.
   */
  read(bytes: Uint8Array, start: number, end: number): number {
    if (this.#framing === Framing.length) {
      const taken = Math.min(end - start, this.#left)
      this.#left -= taken
      this.isDone = this.#left === 0
      this.consumed = start + taken
      return taken
    }
    if (this.#framing === Framing.chunked) return this.#readChunks(bytes, start, end)
    this.consumed = end
    return end - start
  }

  #readChunks(bytes: Uint8Array, start: number, end: number): number {
    const decoder = this.#decoder as ChunkedDecoder
    const count = decoder.decode(bytes, start, end)
    this.isDone = decoder.isDone
    this.consumed = decoder.consumed
    return count
  }
}
