// HOT: runs for every field of every change. No allocation but growth, no closure.
import { ACTOR_ID_BYTES, type ActorId } from '../changes/actor-id.ts'
import type { SqlValue } from '../changes/sql-value.ts'
import { WireError } from './errors.ts'

/** Tags of a SqliteValue. */
export const ValueTag = { null: 0, integer: 1, real: 2, text: 3, blob: 4 } as const

const START_BYTES = 64 * 1024
/** A writer that once held more gives its memory back. */
const KEPT_BYTES_MAX = 1024 * 1024
const SHORT_TEXT_CHARS = 24
const TWO_POW_32 = 2 ** 32

/**
 * Appends little-endian fields to a buffer of its own, which grows by doubling up to `bytesMax`.
 * One writer serves many messages: `start`, the fields, `take`.
 */
export class ByteWriter {
  readonly #bytesMax: number
  #bytes = Buffer.allocUnsafeSlow(START_BYTES)
  #view = new DataView(this.#bytes.buffer)
  #at = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#at
  }

  start(): void {
    this.#at = 0
  }

  /** A copy of what was written; the caller owns it. */
  take(): Buffer {
    const taken = Buffer.allocUnsafe(this.#at)
    this.#bytes.copy(taken, 0, 0, this.#at)
    if (this.#bytes.length > KEPT_BYTES_MAX) this.#resize(START_BYTES)
    return taken
  }

  /** Overwrites 4 bytes at `at`, big-endian: the length in front of a frame. */
  patchU32BigEndian(at: number, value: number): void {
    this.#view.setUint32(at, value, false)
  }

  u8(value: number): void {
    if (this.#at + 1 > this.#bytes.length) this.#grow(1)
    this.#view.setUint8(this.#at, value)
    this.#at += 1
  }

  u16(value: number): void {
    if (this.#at + 2 > this.#bytes.length) this.#grow(2)
    this.#view.setUint16(this.#at, value, true)
    this.#at += 2
  }

  u32(value: number): void {
    if (this.#at + 4 > this.#bytes.length) this.#grow(4)
    this.#view.setUint32(this.#at, value, true)
    this.#at += 4
  }

  /** A u64, or an i64 that is not negative. @throws WireError wire.unencodable */
  u64(value: number): void {
    if (!(Number.isSafeInteger(value) && value >= 0)) throw beyondField(value)
    if (this.#at + 8 > this.#bytes.length) this.#grow(8)
    const low = value >>> 0
    this.#view.setUint32(this.#at, low, true)
    this.#view.setUint32(this.#at + 4, (value - low) / TWO_POW_32, true)
    this.#at += 8
  }

  bigU64(value: bigint): void {
    if (BigInt.asUintN(64, value) !== value) throw beyondField(value)
    if (this.#at + 8 > this.#bytes.length) this.#grow(8)
    this.#view.setBigUint64(this.#at, value, true)
    this.#at += 8
  }

  f64(value: number): void {
    if (this.#at + 8 > this.#bytes.length) this.#grow(8)
    this.#view.setFloat64(this.#at, value, true)
    this.#at += 8
  }

  actor(actor: ActorId): void {
    if (this.#at + ACTOR_ID_BYTES > this.#bytes.length) this.#grow(ACTOR_ID_BYTES)
    this.#bytes.write(actor, this.#at, ACTOR_ID_BYTES, 'hex')
    this.#at += ACTOR_ID_BYTES
  }

  /** Length u32, then UTF-8. */
  text(text: string): void {
    const bytesMax = 4 + text.length * 3
    if (this.#at + bytesMax > this.#bytes.length) this.#grow(bytesMax)
    const start = this.#at + 4
    const end = text.length <= SHORT_TEXT_CHARS ? this.#shortAscii(text, start) : -1
    const length = end >= 0 ? text.length : this.#bytes.write(text, start, 'utf8')
    this.#view.setUint32(this.#at, length, true)
    this.#at = start + length
  }

  /** Length u32, then the bytes. */
  blob(bytes: Uint8Array): void {
    this.u32(bytes.length)
    this.raw(bytes)
  }

  raw(bytes: Uint8Array): void {
    if (this.#at + bytes.length > this.#bytes.length) this.#grow(bytes.length)
    if (bytes.length <= SHORT_TEXT_CHARS) {
      for (let at = 0; at < bytes.length; at += 1) this.#bytes[this.#at + at] = bytes[at] as number
    } else this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  value(value: SqlValue): void {
    if (typeof value === 'string') {
      this.u8(ValueTag.text)
      this.text(value)
    } else if (typeof value === 'bigint') {
      this.#integer(value)
    } else if (typeof value === 'number') {
      this.u8(ValueTag.real)
      this.f64(value)
    } else if (value === null) {
      this.u8(ValueTag.null)
    } else {
      this.u8(ValueTag.blob)
      this.blob(value)
    }
  }

  #integer(value: bigint): void {
    if (BigInt.asIntN(64, value) !== value) throw beyondField(value)
    this.u8(ValueTag.integer)
    if (this.#at + 8 > this.#bytes.length) this.#grow(8)
    this.#view.setBigInt64(this.#at, value, true)
    this.#at += 8
  }

  /** Names of tables and columns are short ASCII: cheaper here than by a call. -1: it is not. */
  #shortAscii(text: string, start: number): number {
    for (let at = 0; at < text.length; at += 1) {
      const unit = text.charCodeAt(at)
      if (unit > 0x7f) return -1
      this.#bytes[start + at] = unit
    }
    return start + text.length
  }

  #grow(more: number): void {
    const needed = this.#at + more
    let size = this.#bytes.length
    while (size < needed) size *= 2
    // Room for text is asked for at its worst; `take` and its callers check the real length.
    if (size > this.#bytesMax * 4) {
      throw new WireError('wire.unencodable', {
        what: 'a message of ours is too long for a frame',
        values: { bytes: needed, bytesMax: this.#bytesMax },
        fix: 'cut the changeset into smaller parts',
      })
    }
    this.#resize(size)
  }

  #resize(size: number): void {
    const grown = Buffer.allocUnsafeSlow(size)
    this.#bytes.copy(grown, 0, 0, Math.min(this.#at, size))
    this.#bytes = grown
    this.#view = new DataView(grown.buffer)
  }
}

function beyondField(value: number | bigint): WireError {
  return new WireError('wire.unencodable', {
    what: 'a number of ours does not fit into its field',
    values: { value: String(value) },
  })
}
