import type { HeadWriter } from '../http1/head-writer.ts'
import { DynamicTable, TABLE_BYTES } from './dynamic-table.ts'
import { HASH_START, hashStep, STATIC_COUNT, staticIndexOf } from './static-table.ts'

const SLOTS = 256
/** A larger field is not worth the others' places. */
const INDEXED_BYTES_MAX = 1024

/** Writes blocks of fields. What is said a second time goes into the table, and is an index from then on. */
export class HpackEncoder {
  readonly #table = new DynamicTable()
  /** By hash: the insertion that it may be in, and the hash that was last seen there. */
  #insertions = NO_SLOTS
  #seen = NO_SLOTS
  /** The smallest and the last size that the peer has said since the last block; -1: none. */
  #smallest = -1
  #told = -1

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  resize(said: number): void {
    const size = Math.min(said, TABLE_BYTES)
    if (this.#smallest < 0 || size < this.#smallest) this.#smallest = size
    this.#told = size
  }

  /** Begins a block. HOT. */
  begin(out: HeadWriter): void {
    if (this.#insertions.length === 0) {
      this.#insertions = new Int32Array(SLOTS)
      this.#seen = new Int32Array(SLOTS)
    }
    if (this.#smallest < 0) return
    if (this.#smallest < this.#told) this.#resizeTo(out, this.#smallest)
    this.#resizeTo(out, this.#told)
    this.#smallest = -1
  }

  #resizeTo(out: HeadWriter, size: number): void {
    this.#table.resize(size)
    writeInteger(out, 0x20, 5, size)
  }

  status(out: HeadWriter, status: number): void {
    const index = STATUS_INDEX.get(status)
    if (index !== undefined) {
      writeInteger(out, 0x80, 7, index)
      return
    }
    writeInteger(out, 0, 4, 8)
    writeInteger(out, 0, 7, 3)
    out.number(status)
  }

  /**
   * One field; its name may have letters of any case. Cookies are never kept (RFC 7541, section 7.1.3). HOT.
   */
  field(
    out: HeadWriter,
    name: Uint8Array,
    nameStart: number,
    nameEnd: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): void {
    const nameLength = nameEnd - nameStart
    let hash = HASH_START
    for (let at = 0; at < nameLength; at += 1) {
      const octet = name[nameStart + at] as number
      const lower = octet >= 65 && octet <= 90 ? octet + 32 : octet
      lowered[at] = lower
      hash = hashStep(hash, lower)
    }
    const staticIndex = staticIndexOf(lowered, 0, nameLength, hash)
    const valueLength = valueEnd - valueStart
    const isKept = staticIndex !== SET_COOKIE && nameLength + valueLength <= INDEXED_BYTES_MAX
    if (isKept) {
      for (let at = valueStart; at < valueEnd; at += 1) hash = hashStep(hash, value[at] as number)
      const slot = (hash ^ (hash >>> 9) ^ (hash >>> 18)) & (SLOTS - 1)
      const insertion = this.#insertions[slot] as number
      if (insertion > 0 && this.#isAt(insertion, nameLength, value, valueStart, valueEnd)) {
        writeInteger(out, 0x80, 7, STATIC_COUNT + this.#table.inserted - insertion + 1)
        return
      }
      if (this.#seen[slot] === hash) {
        writeLiteral(out, 0x40, 6, staticIndex, nameLength)
        writeText(out, value, valueStart, valueEnd)
        if (this.#table.add(lowered, 0, nameLength, value, valueStart, valueEnd))
          this.#insertions[slot] = this.#table.inserted
        return
      }
      this.#seen[slot] = hash
    }
    writeLiteral(out, staticIndex === SET_COOKIE ? 0x10 : 0, 4, staticIndex, nameLength)
    writeText(out, value, valueStart, valueEnd)
  }

  /** Whether this insertion is still there, and has the name in `lowered` and this value. */
  #isAt(
    insertion: number,
    nameLength: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): boolean {
    const table = this.#table
    if (!table.has(insertion)) return false
    const start = table.nameStart(insertion)
    const middle = table.valueStart(insertion)
    const length = valueEnd - valueStart
    if (middle - start !== nameLength || table.valueEnd(insertion) - middle !== length) return false
    const { bytes } = table
    for (let at = 0; at < nameLength; at += 1) if (bytes[start + at] !== lowered[at]) return false
    for (let at = 0; at < length; at += 1)
      if (bytes[middle + at] !== value[valueStart + at]) return false
    return true
  }
}

const NO_SLOTS = new Int32Array(0)
/** The longest name that comes out of a head. */
const lowered = new Uint8Array(64 << 10)
const SET_COOKIE = 55
const STATUS_INDEX: ReadonlyMap<number, number> = new Map(
  [200, 204, 206, 304, 400, 404, 500].map((status, index) => [status, 8 + index]),
)

/** Source: RFC 7541, section 5.1. */
export function writeInteger(out: HeadWriter, first: number, prefix: number, value: number): void {
  const { bytes } = out
  const mask = (1 << prefix) - 1
  if (value < mask) {
    bytes[out.at] = first | value
    out.at += 1
    return
  }
  bytes[out.at] = first | mask
  out.at += 1
  let left = value - mask
  for (; left >= 128; left >>>= 7) {
    bytes[out.at] = (left & 127) | 128
    out.at += 1
  }
  bytes[out.at] = left
  out.at += 1
}

/** The name: by its entry of the static table, else the octets in `lowered`. */
function writeLiteral(
  out: HeadWriter,
  first: number,
  prefix: number,
  staticIndex: number,
  nameLength: number,
): void {
  writeInteger(out, first, prefix, staticIndex)
  if (staticIndex === 0) writeText(out, lowered, 0, nameLength)
}

/** As it is: packing costs more time than the octets that it saves. */
function writeText(out: HeadWriter, text: Uint8Array, start: number, end: number): void {
  writeInteger(out, 0, 7, end - start)
  out.copy(text, start, end)
}
