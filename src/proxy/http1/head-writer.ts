import { CR, LF } from './octets.ts'

const SHORT_BYTES_MAX = 96

/** Writes the bytes of a head into memory that the caller made large enough. HOT. */
export class HeadWriter {
  bytes: Buffer
  at: number

  constructor(bytes: Buffer, at = 0) {
    this.bytes = bytes
    this.at = at
  }

  /** source[start, end) as it is. */
  copy(source: Uint8Array, start: number, end: number): void {
    const length = end - start
    const { bytes, at } = this
    if (length <= SHORT_BYTES_MAX) {
      for (let index = 0; index < length; index += 1)
        bytes[at + index] = source[start + index] as number
    } else bytes.set(source.subarray(start, end), at)
    this.at = at + length
  }

  /** A piece made once, such as 'Via: '. */
  piece(source: Uint8Array): void {
    this.copy(source, 0, source.length)
  }

  /** A character is an octet. */
  text(text: string): void {
    this.at += this.bytes.write(text, this.at, 'latin1')
  }

  /** A decimal number of 0 or more. */
  number(value: number): void {
    let digits = 1
    for (let limit = 10; value >= limit; limit *= 10) digits += 1
    let left = value
    for (let at = this.at + digits - 1; at >= this.at; at -= 1) {
      const rest = Math.floor(left / 10)
      this.bytes[at] = 48 + (left - rest * 10)
      left = rest
    }
    this.at += digits
  }

  lineEnd(): void {
    this.bytes[this.at] = CR
    this.bytes[this.at + 1] = LF
    this.at += 2
  }
}
