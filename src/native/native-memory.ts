import { getRawPointer } from 'node:ffi'

/**
 * Zeroed bytes that JavaScript and C both know. The memory of an ArrayBuffer never moves; a small typed array's own may,
 * so none is ever passed by address.
 */
export class NativeMemory {
  readonly bytes: Buffer
  readonly words: Uint32Array
  readonly address: bigint

  /** @param size a multiple of 4 */
  constructor(size: number) {
    const buffer = new ArrayBuffer(size)
    this.bytes = Buffer.from(buffer)
    this.words = new Uint32Array(buffer)
    this.address = getRawPointer(buffer)
  }
}
