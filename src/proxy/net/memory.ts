import { getRawPointer } from 'node:ffi'

/**
 * Bytes that both JavaScript and the kernel know. The memory of an ArrayBuffer never moves; a small typed
 * array's own might, so none is ever passed by address.
 */
export class Memory {
  readonly bytes: Buffer
  readonly #address: bigint
  readonly size: number
  /** The address of `margin`, made once: a new bigint for each call would be garbage. */
  readonly #marginAddress: bigint
  readonly #margin: number

  /** @param margin the offset, beside 0, that is used most. */
  constructor(size: number, margin = 0) {
    const buffer = new ArrayBuffer(size)
    this.bytes = Buffer.from(buffer)
    this.#address = getRawPointer(buffer)
    this.size = size
    this.#margin = margin
    this.#marginAddress = this.#address + BigInt(margin)
  }

  at(offset: number): bigint {
    if (offset === 0) return this.#address
    if (offset === this.#margin) return this.#marginAddress
    return this.#address + BigInt(offset)
  }
}

/**
 * Memories of one size, used again. `bytesMax` bounds what is out at one time: the proxy's memory stays
 * within it whatever clients do; who gets undefined drops its connection.
 */
export class MemoryPool {
  readonly #free: Memory[] = []
  readonly #size: number
  readonly #bytesMax: number
  #outBytes = 0
  #freeBytesMax = 8 << 20

  constructor({ size, bytesMax }: { size: number; bytesMax: number }) {
    this.#size = size
    this.#bytesMax = bytesMax
  }

  get outBytes(): number {
    return this.#outBytes
  }

  /** @param size when more than the usual one is needed: such memory is not kept. */
  take(size = this.#size): Memory | undefined {
    const bytes = Math.max(size, this.#size)
    if (this.#outBytes + bytes > this.#bytesMax) return undefined
    this.#outBytes += bytes
    if (bytes > this.#size) return new Memory(bytes)
    return this.#free.pop() ?? new Memory(bytes)
  }

  give(memory: Memory): void {
    this.#outBytes -= memory.size
    if (memory.size !== this.#size) return
    if (this.#free.length * this.#size < this.#freeBytesMax) this.#free.push(memory)
  }
}
