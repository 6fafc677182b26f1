import type { Memory, MemoryPool } from '../net/memory.ts'
import { BLOCK_BYTES_MAX } from './hpack-decoder.ts'

/** Empty ones, too. */
const CONTINUATIONS_MAX = 32

/** A block of fields that comes in several frames: HEADERS, then CONTINUATION. */
export class HeadBlock {
  readonly #pool: MemoryPool
  #memory: Memory | undefined
  #length = 0
  #frames = 0
  /** Of the stream; 0: no block is under way. */
  stream = 0
  endsStream = false

  constructor(pool: MemoryPool) {
    this.#pool = pool
  }

  get bytes(): Uint8Array {
    return (this.#memory as Memory).bytes
  }
  get length(): number {
    return this.#length
  }

  begin(stream: number, endsStream: boolean): void {
    this.stream = stream
    this.endsStream = endsStream
    this.#length = 0
    this.#frames = 0
  }

  /** Appends bytes[start, end). @returns false: it is too much of it, or there is no memory */
  add(bytes: Uint8Array, start: number, end: number): boolean {
    this.#frames += 1
    if (this.#length + end - start > BLOCK_BYTES_MAX || this.#frames > CONTINUATIONS_MAX)
      return false
    this.#memory ??= this.#pool.take(BLOCK_BYTES_MAX)
    if (this.#memory === undefined) return false
    this.#memory.bytes.set(bytes.subarray(start, end), this.#length)
    this.#length += end - start
    return true
  }

  /** It was read, or will not be. */
  end(): void {
    this.stream = 0
    if (this.#memory !== undefined) this.#pool.give(this.#memory)
    this.#memory = undefined
  }
}
