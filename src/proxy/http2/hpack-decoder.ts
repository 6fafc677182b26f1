import { DynamicTable, TABLE_BYTES } from './dynamic-table.ts'
import { decodeHuffman } from './huffman.ts'
import { STATIC_COUNT, staticBytes, staticOffsets } from './static-table.ts'

/** Of one block as it came, all its frames together. */
export const BLOCK_BYTES_MAX: number = 32 << 10

/** Who is told the fields of a block, in their order. */
export interface FieldSink {
  /** name[nameStart, nameEnd) and value[valueStart, valueEnd) hold during the call only. */
  field(
    name: Uint8Array,
    nameStart: number,
    nameEnd: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): void
}

/** A code is 5 bits at least. Shared: what is in it holds for one field. */
const unpacked = Buffer.alloc(((BLOCK_BYTES_MAX * 8) / 5) | 0)
const INTEGER_MAX = 1 << 24

/** Reads blocks of fields. Source: RFC 7541. A block that fails leaves the table of no use: the connection ends. */
export class HpackDecoder {
  readonly #table = new DynamicTable()
  #at = 0
  // of the field under way
  #name: Uint8Array = unpacked
  #nameStart = 0
  #nameEnd = 0
  /** Where of `unpacked` the next string goes. */
  #unpackedEnd = 0
  // of the string that was read last
  #text: Uint8Array = unpacked
  #textStart = 0
  #textEnd = 0

  /** bytes[start, end) is a whole block of up to BLOCK_BYTES_MAX. HOT. @returns false: it is none */
  decode(bytes: Uint8Array, start: number, end: number, sink: FieldSink): boolean {
    if (end - start > BLOCK_BYTES_MAX) return false
    this.#at = start
    let mayResize = true
    while (this.#at < end) {
      const octet = bytes[this.#at] as number
      this.#unpackedEnd = 0
      if (octet >= 0x80) {
        if (!this.#indexed(bytes, end, sink)) return false
      } else if (octet >= 0x40) {
        if (!this.#literal(bytes, end, 6, sink)) return false
      } else if (octet >= 0x20) {
        const size = this.#integer(bytes, end, 5)
        if (!mayResize || size < 0 || size > TABLE_BYTES) return false
        this.#table.resize(size)
        continue
      } else if (!this.#literal(bytes, end, 4, sink)) return false
      mayResize = false
    }
    return true
  }

  #indexed(bytes: Uint8Array, end: number, sink: FieldSink): boolean {
    const index = this.#integer(bytes, end, 7)
    if (index <= 0) return false
    if (index <= STATIC_COUNT) {
      const at = index * 3
      const middle = staticOffsets[at + 1] as number
      sink.field(
        staticBytes,
        staticOffsets[at] as number,
        middle,
        staticBytes,
        middle,
        staticOffsets[at + 2] as number,
      )
      return true
    }
    const table = this.#table
    const insertion = table.insertionAt(index - STATIC_COUNT)
    if (insertion === 0) return false
    const middle = table.valueStart(insertion)
    sink.field(
      table.bytes,
      table.nameStart(insertion),
      middle,
      table.bytes,
      middle,
      table.valueEnd(insertion),
    )
    return true
  }

  /** @param prefix 6 bits of index: the field goes into the table; 4: it does not */
  #literal(bytes: Uint8Array, end: number, prefix: 4 | 6, sink: FieldSink): boolean {
    const index = this.#integer(bytes, end, prefix)
    if (index < 0 || !this.#readName(bytes, end, index) || !this.#string(bytes, end)) return false
    const name = this.#name
    const value = this.#text
    sink.field(name, this.#nameStart, this.#nameEnd, value, this.#textStart, this.#textEnd)
    if (prefix === 6)
      this.#table.add(name, this.#nameStart, this.#nameEnd, value, this.#textStart, this.#textEnd)
    return true
  }

  #readName(bytes: Uint8Array, end: number, index: number): boolean {
    if (index === 0) {
      if (!this.#string(bytes, end)) return false
      this.#name = this.#text
      this.#nameStart = this.#textStart
      this.#nameEnd = this.#textEnd
    } else if (index <= STATIC_COUNT) {
      this.#name = staticBytes
      this.#nameStart = staticOffsets[index * 3] as number
      this.#nameEnd = staticOffsets[index * 3 + 1] as number
    } else {
      const table = this.#table
      const insertion = table.insertionAt(index - STATIC_COUNT)
      if (insertion === 0) return false
      this.#name = table.bytes
      this.#nameStart = table.nameStart(insertion)
      this.#nameEnd = table.valueStart(insertion)
    }
    return true
  }

  #string(bytes: Uint8Array, end: number): boolean {
    if (this.#at >= end) return false
    const isPacked = (bytes[this.#at] as number) >= 0x80
    const length = this.#integer(bytes, end, 7)
    if (length < 0 || length > end - this.#at) return false
    const start = this.#at
    this.#at = start + length
    if (!isPacked) {
      this.#text = bytes
      this.#textStart = start
      this.#textEnd = start + length
      return true
    }
    const from = this.#unpackedEnd
    const to = decodeHuffman(bytes, start, start + length, unpacked, from)
    if (to < 0) return false
    this.#text = unpacked
    this.#textStart = from
    this.#textEnd = to
    this.#unpackedEnd = to
    return true
  }

  /** Source: RFC 7541, section 5.1. @returns -1: it is cut off, or larger than anything here can be */
  #integer(bytes: Uint8Array, end: number, prefix: number): number {
    const mask = (1 << prefix) - 1
    let value = (bytes[this.#at] as number) & mask
    this.#at += 1
    if (value < mask) return value
    for (let shift = 0; this.#at < end && shift <= 21; shift += 7) {
      const octet = bytes[this.#at] as number
      this.#at += 1
      value += (octet & 0x7f) << shift
      if (octet < 0x80) return value > INTEGER_MAX ? -1 : value
    }
    return -1
  }
}
