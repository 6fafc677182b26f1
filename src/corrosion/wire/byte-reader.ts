// HOT: runs for every field of every change. No closure; views instead of copies until a value ends.
import { isUtf8 } from 'node:buffer'
import { ACTOR_ID_BYTES, type ActorId } from '../changes/actor-id.ts'
import type { Range } from '../changes/range-set.ts'
import type { SqlValue } from '../changes/sql-value.ts'
import { ValueTag } from './byte-writer.ts'
import { malformed, type WireError } from './errors.ts'

const TWO_POW_32 = 2 ** 32
const SAFE_HIGH_MAX = 2 ** 21 - 1
const SHORT_TEXT_BYTES = 24
const RANGE_BYTES = 16

/**
 * Reads little-endian fields at growing offsets. Every read checks what is left first, so a length from
 * outside never allocates more than the message itself has.
 *
 * @throws WireError wire.malformed, each of its methods.
 */
export class ByteReader {
  readonly #bytes: Buffer
  readonly #view: DataView
  readonly #end: number
  #at = 0
  /** Names repeat from change to change: the last one is compared before another is made. */
  #name = ''

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#end = bytes.length
  }

  get left(): number {
    return this.#end - this.#at
  }

  u8(): number {
    const at = this.#take(1)
    return this.#view.getUint8(at)
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true)
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true)
  }

  /** A u64, or an i64 that is not negative, up to 2^53 - 1. */
  u64(): number {
    const at = this.#take(8)
    const high = this.#view.getUint32(at + 4, true)
    if (high > SAFE_HIGH_MAX) throw this.bad('a number is beyond 2^53')
    return high * TWO_POW_32 + this.#view.getUint32(at, true)
  }

  bigU64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true)
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8), true)
  }

  bool(): boolean {
    const value = this.u8()
    if (value > 1) throw this.bad('a boolean is neither 0 nor 1')
    return value === 1
  }

  /** How many items follow, each of `itemBytesMin` or more: refused when they cannot be there. */
  count(itemBytesMin: number): number {
    const count = this.u32()
    if (count * itemBytesMin > this.left) throw this.bad('a list is longer than its message')
    return count
  }

  actor(): ActorId {
    const at = this.#take(ACTOR_ID_BYTES)
    return this.#bytes.toString('hex', at, at + ACTOR_ID_BYTES) as ActorId
  }

  /** Takes an actor id that must be `expected`. */
  sameActor(expected: ActorId): void {
    if (this.actor() !== expected) throw this.bad('a change of one actor is told as of another')
  }

  text(): string {
    return this.shortText(this.u32())
  }

  /** Text whose length was read before. */
  shortText(length: number): string {
    return this.#textAt(this.#take(length), length)
  }

  /** A view into the message, of a length that is known. */
  bytes(length: number): Uint8Array {
    const at = this.#take(length)
    return this.#bytes.subarray(at, at + length)
  }

  /** As `text`, for the names of tables and columns. */
  name(): string {
    const length = this.u32()
    const at = this.#take(length)
    const name = this.#name
    if (name.length !== length || !this.#isName(at)) this.#name = this.#textAt(at, length)
    return this.#name
  }

  /** The caller owns the copy. */
  blob(): Uint8Array {
    const length = this.u32()
    const at = this.#take(length)
    const copy = new Uint8Array(length)
    if (length > SHORT_TEXT_BYTES) copy.set(this.#bytes.subarray(at, at + length))
    else
      for (let index = 0; index < length; index += 1)
        copy[index] = this.#bytes[at + index] as number
    return copy
  }

  /** A view into the message. */
  view(): Uint8Array {
    return this.bytes(this.u32())
  }

  /** Both ends belong to it; the start is not behind the end. */
  range(): Range {
    const start = this.u64()
    const end = this.u64()
    if (start > end) throw this.bad('a range ends before it starts')
    return { start, end }
  }

  ranges(): Range[] {
    const count = this.count(RANGE_BYTES)
    const ranges: Range[] = []
    for (let index = 0; index < count; index += 1) ranges.push(this.range())
    return ranges
  }

  value(): SqlValue {
    switch (this.u8()) {
      case ValueTag.null:
        return null
      case ValueTag.integer:
        return this.#view.getBigInt64(this.#take(8), true)
      case ValueTag.real:
        return this.#real()
      case ValueTag.text:
        return this.text()
      case ValueTag.blob:
        return this.blob()
      default:
        throw this.bad('a value has no known type')
    }
  }

  /** All of the message must have been read. */
  end(): void {
    if (this.#at !== this.#end) throw this.bad('bytes are left over')
  }

  bad(what: string): WireError {
    return malformed(what, { offset: this.#at, bytes: this.#end })
  }

  #real(): number {
    const value = this.f64()
    if (Number.isNaN(value)) throw this.bad('a real is not a number')
    return value
  }

  #take(count: number): number {
    const at = this.#at
    if (count > this.#end - at) throw this.bad('it is cut off')
    this.#at = at + count
    return at
  }

  #isName(start: number): boolean {
    const name = this.#name
    for (let at = 0; at < name.length; at += 1) {
      if (this.#bytes[start + at] !== name.charCodeAt(at)) return false
    }
    return this.#isAscii(start, name.length)
  }

  #textAt(start: number, length: number): string {
    const end = start + length
    if (length <= SHORT_TEXT_BYTES && this.#isAscii(start, length)) {
      return this.#bytes.toString('latin1', start, end)
    }
    if (!isUtf8(this.#bytes.subarray(start, end))) throw this.bad('text is not UTF-8')
    return this.#bytes.toString('utf8', start, end)
  }

  #isAscii(start: number, length: number): boolean {
    let seen = 0
    for (let at = start; at < start + length; at += 1) seen |= this.#bytes[at] as number
    return seen < 0x80
  }
}
