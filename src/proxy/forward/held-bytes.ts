import type { Memory, MemoryPool } from '../net/memory.ts'

/**
 * Bytes that came and cannot be used yet: the first part of a head, or requests behind the one that is served. In
 * memory of the pool, which `give` returns.
 */
export class HeldBytes {
  readonly #pool: MemoryPool
  #memory: Memory | undefined
  #end = 0

  constructor(pool: MemoryPool) {
    this.#pool = pool
  }

  /** Undefined: nothing is held. What is held starts at 0. */
  get memory(): Memory | undefined {
    return this.#memory
  }
  get end(): number {
    return this.#end
  }

  /** Appends source[start, end). @returns false when the proxy is at its memory bound. */
  add(source: Memory, start: number, end: number): boolean {
    const needed = this.#end + end - start
    let target = this.#memory
    if (target === undefined || needed > target.size) {
      target = this.#pool.take(Math.max(needed, 2 * this.#end))
      if (target === undefined) return false
      if (this.#memory !== undefined) {
        this.#memory.bytes.copy(target.bytes, 0, 0, this.#end)
        this.#pool.give(this.#memory)
      }
      this.#memory = target
    }
    source.bytes.copy(target.bytes, this.#end, start, end)
    this.#end = needed
    return true
  }

  /** What is held goes to the caller, who returns the memory with `giveBack`. */
  take(): Memory | undefined {
    const memory = this.#memory
    this.#memory = undefined
    this.#end = 0
    return memory
  }

  giveBack(memory: Memory): void {
    this.#pool.give(memory)
  }

  /** Holds nothing any more. */
  give(): void {
    if (this.#memory !== undefined) this.#pool.give(this.#memory)
    this.#memory = undefined
    this.#end = 0
  }
}
