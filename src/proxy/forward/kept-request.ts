import type { Memory, MemoryPool } from '../net/memory.ts'

/** Until a decision says how much, a first piece of the body waits with the head. */
const UNDECIDED_BYTES = 256 << 10

/**
 * A request as it came, head and the first part of its body, so that it can be sent again. `isWhole`
 * turns false once more came than is kept: then it cannot.
 */
export class KeptRequest {
  readonly #pool: MemoryPool
  #memory: Memory | undefined
  headBytes = 0
  bodyEnd = 0
  isWhole = true
  /** Bytes of body that are kept. */
  limit = UNDECIDED_BYTES

  constructor(pool: MemoryPool) {
    this.#pool = pool
  }

  get memory(): Memory {
    if (this.#memory === undefined) throw new TypeError('no request is kept')
    return this.#memory
  }
  get bodyStart(): number {
    return this.headBytes
  }

  /** @returns false when the proxy is at its memory bound. */
  begin(bytes: Uint8Array, start: number, end: number): boolean {
    const length = end - start
    const memory = this.#pool.take(length)
    if (memory === undefined) return false
    this.#memory = memory
    memory.bytes.set(bytes.subarray(start, end))
    this.headBytes = length
    this.bodyEnd = length
    this.isWhole = true
    this.limit = UNDECIDED_BYTES
    return true
  }

  add(source: Memory, start: number, length: number): void {
    if (!this.isWhole) return
    const memory = this.#memory
    if (memory === undefined) return
    const end = this.bodyEnd + length
    if (end - this.headBytes > this.limit) {
      this.isWhole = false
      return
    }
    const room = end <= memory.size ? memory : this.#grow(memory, end)
    if (room === undefined) {
      this.isWhole = false
      return
    }
    source.bytes.copy(room.bytes, this.bodyEnd, start, start + length)
    this.bodyEnd = end
  }

  #grow(memory: Memory, size: number): Memory | undefined {
    const larger = this.#pool.take(Math.max(size, 2 * memory.size))
    if (larger === undefined) return undefined
    memory.bytes.copy(larger.bytes, 0, 0, this.bodyEnd)
    this.#pool.give(memory)
    this.#memory = larger
    return larger
  }

  give(): void {
    if (this.#memory !== undefined) this.#pool.give(this.#memory)
    this.#memory = undefined
  }
}
