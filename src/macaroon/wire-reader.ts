import { decodeText } from './byte-text.ts'
import { MacaroonError, malformed, overLimit } from './errors.ts'
import { CAVEATS_MAX, NESTING_MAX } from './limits.ts'
import { type WireInteger, wireInteger } from './wire-integer.ts'

/**
 * Reads MessagePack as the Go encoder writes it, and nothing else: what this accepts, WireWriter
 * writes with the same bytes, so the bytes in hand are the bytes that were signed. General
 * decoders take any form of an integer and merge repeated keys, which would break tails.
 *
 *   integers   shortest form only; a positive int64 has the unsigned form
 *   str, bin   shortest length; never one for the other
 *   array, map shortest header; a count never passes the bytes left, so no header makes us allocate
 *
 * `readLoose...` are for what stands outside the signature. Nothing is copied: byte results are
 * views. Source: MessagePack specification; vmihailenco/msgpack v5 with compact integers.
 *
 * Every method throws MacaroonError macaroon.malformed, macaroon.truncated (more bytes were
 * promised than came) or macaroon.over_limit.
 */
export class WireReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0
  #depth = 0
  #caveatCount = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Bytes read so far. */
  get offset(): number {
    return this.#at
  }

  /** What was read since `start`. */
  since(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.#at)
  }

  /** Runs `read` one level deeper. */
  nested<T>(read: () => T): T {
    this.#depth += 1
    if (this.#depth > NESTING_MAX) {
      throw overLimit('token is nested too deeply', { limit: NESTING_MAX, got: this.#depth })
    }
    const value = read()
    this.#depth -= 1
    return value
  }

  countCaveats(count: number): void {
    this.#caveatCount += count
    if (this.#caveatCount > CAVEATS_MAX) {
      throw overLimit('token has too many caveats', { limit: CAVEATS_MAX, got: this.#caveatCount })
    }
  }

  /** True, and past it, when nil comes next. */
  skipNil(): boolean {
    if (this.#bytes[this.#at] !== 0xc0) return false
    this.#at += 1
    return true
  }

  readBoolean(): boolean {
    const head = this.#byte()
    if (head !== 0xc2 && head !== 0xc3) throw this.#unexpected('a boolean', head)
    return head === 0xc3
  }

  /** 0 to 2^64-1. */
  readUnsigned(): WireInteger {
    const head = this.#byte()
    if (head <= 0x7f) return head
    switch (head) {
      case 0xcc:
        return this.#minimal(this.#uint(1), 0x80)
      case 0xcd:
        return this.#minimal(this.#uint(2), 0x100)
      case 0xce:
        return this.#minimal(this.#uint(4), 0x1_0000)
      case 0xcf:
        return this.#minimal(this.#uint64(), 0x1_0000_0000)
      default:
        throw this.#unexpected('an unsigned integer', head)
    }
  }

  /** 0 to `max`, a safe integer. */
  readUnsignedWithin(max: number): number {
    const value = this.readUnsigned()
    if (typeof value === 'bigint' || value > max) {
      throw malformed('an integer is out of range', { value, max, offset: this.#at })
    }
    return value
  }

  /** -2^63 to 2^63-1. */
  readSigned(): WireInteger {
    const head = this.#bytes[this.#at] ?? 0
    if (head < 0xd0 || (head > 0xd3 && head < 0xe0)) {
      const value = this.readUnsigned()
      if (typeof value === 'bigint' && value >= 2n ** 63n) {
        throw malformed('an integer is out of range', { value, offset: this.#at })
      }
      return value
    }
    this.#byte()
    if (head >= 0xe0) return head - 0x100
    const bytes = 1 << (head - 0xd0)
    const value = this.#negative(bytes)
    const smaller = bytes === 1 ? -32 : -(2 ** (4 * bytes - 1))
    if (value >= smaller) throw this.#notMinimal(value)
    return value
  }

  /** Text by byte-text.ts. */
  readText(): string {
    return decodeText(this.#readTextBytes())
  }

  #readTextBytes(): Uint8Array {
    const head = this.#byte()
    if (head >= 0xa0 && head <= 0xbf) return this.#take(head & 0x1f)
    if (head === 0xd9) return this.#take(this.#minimal(this.#uint(1), 32))
    if (head === 0xda) return this.#take(this.#minimal(this.#uint(2), 0x100))
    if (head === 0xdb) return this.#take(this.#minimal(this.#uint(4), 0x1_0000))
    throw this.#unexpected('text', head)
  }

  readBytes(): Uint8Array {
    const head = this.#byte()
    if (head === 0xc4) return this.#take(this.#uint(1))
    if (head === 0xc5) return this.#take(this.#minimal(this.#uint(2), 0x100))
    if (head === 0xc6) return this.#take(this.#minimal(this.#uint(4), 0x1_0000))
    throw this.#unexpected('bytes', head)
  }

  /** Bytes or text, with any length form. */
  readLooseBytes(): Uint8Array {
    const head = this.#byte()
    if (head >= 0xa0 && head <= 0xbf) return this.#take(head & 0x1f)
    if (head === 0xc4 || head === 0xd9) return this.#take(this.#uint(1))
    if (head === 0xc5 || head === 0xda) return this.#take(this.#uint(2))
    if (head === 0xc6 || head === 0xdb) return this.#take(this.#uint(4))
    throw this.#unexpected('bytes or text', head)
  }

  /** @returns the number of elements, at most the bytes left. */
  readArrayHeader(): number {
    const head = this.#byte()
    if (head >= 0x90 && head <= 0x9f) return this.#count(head & 0x0f, 1)
    if (head === 0xdc) return this.#count(this.#minimal(this.#uint(2), 16), 1)
    if (head === 0xdd) return this.#count(this.#minimal(this.#uint(4), 0x1_0000), 1)
    throw this.#unexpected('an array', head)
  }

  /** An array header of any length form; nil counts as an empty array. */
  readLooseArrayHeader(): number {
    const head = this.#byte()
    if (head === 0xc0) return 0
    if (head >= 0x90 && head <= 0x9f) return this.#count(head & 0x0f, 1)
    if (head === 0xdc) return this.#count(this.#uint(2), 1)
    if (head === 0xdd) return this.#count(this.#uint(4), 1)
    throw this.#unexpected('an array', head)
  }

  /** An array of exactly `count` elements. */
  readTuple(count: number, what: string): void {
    const got = this.readArrayHeader()
    if (got !== count) {
      throw malformed(`${what} has the wrong number of fields`, { expected: count, got })
    }
  }

  /** @returns the number of pairs; twice that is at most the bytes left. */
  readMapHeader(): number {
    const head = this.#byte()
    if (head >= 0x80 && head <= 0x8f) return this.#count(head & 0x0f, 2)
    if (head === 0xde) return this.#count(this.#minimal(this.#uint(2), 16), 2)
    if (head === 0xdf) return this.#count(this.#minimal(this.#uint(4), 0x1_0000), 2)
    throw this.#unexpected('a map', head)
  }

  /**
   * Passes any value, in any form, as an unknown caveat may hold it. Extension types and maps with
   * a key that Go cannot hash (bytes, array, map) are refused: the original fails on them.
   */
  skipValue(): void {
    const head = this.#byte()
    if (head <= 0x7f || head >= 0xe0) return // small integers
    if (head <= 0x8f) this.#skipMap(head & 0x0f)
    else if (head <= 0x9f) this.#skipArray(head & 0x0f)
    else if (head <= 0xbf) this.#take(head & 0x1f)
    else this.#skipHeaded(head)
  }

  // biome-ignore format: a table
  #skipHeaded(head: number): void {
    switch (head) {
      case 0xc0: case 0xc2: case 0xc3: break                                       // nil, boolean
      case 0xc4: case 0xd9: this.#take(this.#uint(1)); break                       // bin, str
      case 0xc5: case 0xda: this.#take(this.#uint(2)); break
      case 0xc6: case 0xdb: this.#take(this.#uint(4)); break
      case 0xca: this.#take(4); break                                              // float
      case 0xcb: this.#take(8); break
      case 0xcc: case 0xcd: case 0xce: case 0xcf:                                  // unsigned
      case 0xd0: case 0xd1: case 0xd2: case 0xd3: this.#take(1 << (head & 3)); break // signed
      case 0xdc: this.#skipArray(this.#uint(2)); break
      case 0xdd: this.#skipArray(this.#uint(4)); break
      case 0xde: this.#skipMap(this.#uint(2)); break
      case 0xdf: this.#skipMap(this.#uint(4)); break
      default: throw this.#unexpected('a value without extension types', head)
    }
  }

  #skipArray(claimed: number): void {
    const count = this.#count(claimed, 1)
    this.nested(() => {
      for (let index = 0; index < count; index += 1) this.skipValue()
    })
  }

  #skipMap(claimed: number): void {
    const count = this.#count(claimed, 2)
    this.nested(() => {
      for (let index = 0; index < count; index += 1) {
        const head = this.#bytes[this.#at] ?? 0
        const isContainer = (head >= 0x80 && head <= 0x9f) || (head >= 0xdc && head <= 0xdf)
        if (isContainer || (head >= 0xc4 && head <= 0xc6)) {
          throw this.#unexpected('a plain map key', head)
        }
        this.skipValue()
        this.skipValue()
      }
    })
  }

  #byte(): number {
    const byte = this.#bytes[this.#at]
    if (byte === undefined) throw this.#truncated(1)
    this.#at += 1
    return byte
  }

  #take(length: number): Uint8Array {
    const end = this.#at + length
    if (end > this.#bytes.length) throw this.#truncated(length)
    const taken = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return taken
  }

  #uint(bytes: 1 | 2 | 4): number {
    const at = this.#at
    if (at + bytes > this.#bytes.length) throw this.#truncated(bytes)
    this.#at = at + bytes
    if (bytes === 1) return this.#view.getUint8(at)
    return bytes === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at)
  }

  #uint64(): WireInteger {
    const high = this.#uint(4)
    const low = this.#uint(4)
    if (high < 0x20_0000) return high * 0x1_0000_0000 + low
    return (BigInt(high) << 32n) | BigInt(low)
  }

  #negative(bytes: number): WireInteger {
    const at = this.#at
    if (at + bytes > this.#bytes.length) throw this.#truncated(bytes)
    this.#at = at + bytes
    if (bytes === 1) return this.#view.getInt8(at)
    if (bytes === 2) return this.#view.getInt16(at)
    if (bytes === 4) return this.#view.getInt32(at)
    return wireInteger(this.#view.getBigInt64(at))
  }

  #minimal<T extends WireInteger>(value: T, smallest: number): T {
    if (value < smallest) throw this.#notMinimal(value)
    return value
  }

  #count(count: number, bytesEach: number): number {
    const bytesLeft = this.#bytes.length - this.#at
    if (count * bytesEach > bytesLeft) throw this.#truncated(count * bytesEach)
    return count
  }

  #notMinimal(value: WireInteger): MacaroonError {
    return malformed('an integer or length is not in its shortest form', {
      value,
      offset: this.#at,
    })
  }

  #unexpected(expected: string, head: number): MacaroonError {
    const got = `0x${head.toString(16).padStart(2, '0')}`
    return malformed(`token has something else than ${expected}`, { got, offset: this.#at - 1 })
  }

  #truncated(bytesWanted: number): MacaroonError {
    return new MacaroonError('macaroon.truncated', {
      what: 'token ends too early',
      values: {
        bytes: this.#bytes.length,
        bytesMissing: this.#at + bytesWanted - this.#bytes.length,
      },
      fix: 'it was probably cut off when it was copied: copy it again, whole',
    })
  }
}
