import { encodeText } from './byte-text.ts'
import type { WireInteger } from './wire-integer.ts'

const INITIAL_BYTES = 256

/**
 * Writes MessagePack with the bytes of the Go encoder: every integer and length in its shortest
 * form, positive integers unsigned. What it writes, WireReader accepts.
 */
export class WireWriter {
  #bytes = Buffer.allocUnsafe(INITIAL_BYTES)
  #length = 0

  /** A copy of what was written. */
  finish(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#length))
  }

  writeNil(): void {
    this.#grow(1)[this.#length++] = 0xc0
  }

  writeBoolean(value: boolean): void {
    this.#grow(1)[this.#length++] = value ? 0xc3 : 0xc2
  }

  /** -2^63 to 2^64-1. */
  writeInteger(value: WireInteger): void {
    if (value >= 0) this.#writeUnsigned(value)
    else this.#writeNegative(value)
  }

  /** Text by byte-text.ts. */
  writeText(text: string): void {
    const bytes = encodeText(text)
    if (bytes.length < 32) this.#grow(1)[this.#length++] = 0xa0 | bytes.length
    else this.#writeLength(bytes.length, 0xd9)
    this.writeRaw(bytes)
  }

  writeBytes(bytes: Uint8Array): void {
    this.#writeLength(bytes.length, 0xc4)
    this.writeRaw(bytes)
  }

  writeArrayHeader(count: number): void {
    if (count < 16) this.#grow(1)[this.#length++] = 0x90 | count
    else this.#writeCount(count, 0xdc)
  }

  writeMapHeader(count: number): void {
    if (count < 16) this.#grow(1)[this.#length++] = 0x80 | count
    else this.#writeCount(count, 0xde)
  }

  /** Bytes that are MessagePack already. */
  writeRaw(bytes: Uint8Array): void {
    this.#grow(bytes.length).set(bytes, this.#length)
    this.#length += bytes.length
  }

  #writeUnsigned(value: WireInteger): void {
    const bytes = this.#grow(9)
    if (value < 0x80) bytes[this.#length++] = Number(value)
    else if (value < 0x100) this.#put(0xcc, () => bytes.writeUInt8(Number(value), this.#length))
    else if (value < 0x1_0000) {
      this.#put(0xcd, () => bytes.writeUInt16BE(Number(value), this.#length))
    } else if (value < 0x1_0000_0000) {
      this.#put(0xce, () => bytes.writeUInt32BE(Number(value), this.#length))
    } else this.#put(0xcf, () => bytes.writeBigUInt64BE(BigInt(value), this.#length))
  }

  #writeNegative(value: WireInteger): void {
    const bytes = this.#grow(9)
    if (value >= -32) bytes[this.#length++] = Number(value) & 0xff
    else if (value >= -0x80) this.#put(0xd0, () => bytes.writeInt8(Number(value), this.#length))
    else if (value >= -0x8000) {
      this.#put(0xd1, () => bytes.writeInt16BE(Number(value), this.#length))
    } else if (value >= -0x8000_0000) {
      this.#put(0xd2, () => bytes.writeInt32BE(Number(value), this.#length))
    } else this.#put(0xd3, () => bytes.writeBigInt64BE(BigInt(value), this.#length))
  }

  /** The head byte, then what `write` puts at the new length; it returns the offset after it. */
  #put(head: number, write: () => number): void {
    this.#bytes[this.#length++] = head
    this.#length = write()
  }

  /** `head` is the 8-bit form; the 16- and 32-bit forms follow it. */
  #writeLength(length: number, head: number): void {
    if (length >= 0x100) {
      this.#writeCount(length, head + 1)
      return
    }
    const bytes = this.#grow(2)
    bytes[this.#length++] = head
    bytes[this.#length++] = length
  }

  /** `head` is the 16-bit form; the 32-bit form follows it. */
  #writeCount(count: number, head: number): void {
    const bytes = this.#grow(5)
    const isLong = count >= 0x1_0000
    this.#put(isLong ? head + 1 : head, () =>
      isLong ? bytes.writeUInt32BE(count, this.#length) : bytes.writeUInt16BE(count, this.#length),
    )
  }

  #grow(bytesMore: number): Buffer {
    const needed = this.#length + bytesMore
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2))
      larger.set(this.#bytes.subarray(0, this.#length))
      this.#bytes = larger
    }
    return this.#bytes
  }
}
