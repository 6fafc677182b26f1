import { CorrosionError } from '../errors.ts'
import type { SqlValue } from './sql-value.ts'

const INTEGER = 1
const FLOAT = 2
const TEXT = 3
const BLOB = 4
const NULL = 5

const fatalText = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The values of a primary key as one blob: a count, then for each a byte `(length << 3) | type` and the
 * data. Integers take as few big-endian bytes as they need and are read back without sign, so negative
 * ones take all 8. Text and blobs have their length in front of the data.
 * Source: cr-sqlite's pack_columns, byte for byte.
 */
export function packKey(values: readonly SqlValue[]): Uint8Array {
  const only = values.length === 1 ? values[0] : undefined
  if (typeof only === 'bigint' && only >= 0n && only < 0x80000000n) return packSmall(Number(only))
  const parts: Uint8Array[] = [Uint8Array.of(values.length)]
  for (const value of values) packValue(value, parts)
  return Buffer.concat(parts)
}

/** The common case, a small number, without a list of parts. */
function packSmall(value: number): Uint8Array {
  const width = unsignedWidth(value)
  const bytes = Buffer.allocUnsafe(2 + width)
  bytes[0] = 1
  bytes[1] = (width << 3) | INTEGER
  if (width > 0) bytes.writeUIntBE(value, 2, width)
  return bytes
}

function packValue(value: SqlValue, parts: Uint8Array[]): void {
  if (value === null) parts.push(Uint8Array.of(NULL))
  else if (typeof value === 'bigint') parts.push(packInteger(value))
  else if (typeof value === 'number') {
    const bytes = Buffer.allocUnsafe(9)
    bytes[0] = FLOAT
    bytes.writeDoubleBE(value, 1)
    parts.push(bytes)
  } else {
    const isText = typeof value === 'string'
    const data = isText ? Buffer.from(value) : value
    const width = unsignedWidth(data.length)
    const head = Buffer.allocUnsafe(1 + width)
    head[0] = (width << 3) | (isText ? TEXT : BLOB)
    if (width > 0) head.writeUIntBE(data.length, 1, width)
    parts.push(head, data)
  }
}

function packInteger(value: bigint): Uint8Array {
  const all = Buffer.allocUnsafe(9)
  all.writeBigInt64BE(value, 1)
  let at = 1
  while (at < 9 && all[at] === 0) at += 1
  all[at - 1] = ((9 - at) << 3) | INTEGER
  return all.subarray(at - 1)
}

function unsignedWidth(value: number): number {
  if (value === 0) return 0
  return Math.ceil((32 - Math.clz32(value)) / 8)
}

/** @throws CorrosionError corrosion.key_malformed */
export function unpackKey(packed: Uint8Array): SqlValue[] {
  const reader = new KeyReader(packed)
  const values: SqlValue[] = []
  for (let left = reader.byte(); left > 0; left -= 1) values.push(reader.value())
  reader.end()
  return values
}

class KeyReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  byte(): number {
    return this.#take(1)[0] as number
  }

  value(): SqlValue {
    const head = this.byte()
    const width = head >> 3
    switch (head & 7) {
      case INTEGER:
        return this.#integer(width)
      case FLOAT:
        return this.#take(8).readDoubleBE(0)
      case TEXT:
        return this.#text(this.#take(this.#length(width)))
      case BLOB:
        return Uint8Array.from(this.#take(this.#length(width)))
      case NULL:
        return null
      default:
        throw this.#malformed('a type byte is unknown')
    }
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw this.#malformed('bytes are left over')
  }

  #integer(width: number): bigint {
    if (width > 8) throw this.#malformed('an integer is too wide')
    if (width === 8) return this.#take(8).readBigInt64BE(0)
    let value = 0n
    for (const byte of this.#take(width)) value = (value << 8n) | BigInt(byte)
    return value
  }

  #length(width: number): number {
    if (width > 4) throw this.#malformed('a length is too wide')
    return width === 0 ? 0 : this.#take(width).readUIntBE(0, width)
  }

  #text(bytes: Buffer): string {
    try {
      return fatalText.decode(bytes)
    } catch (cause) {
      throw this.#malformed('text is not UTF-8', cause)
    }
  }

  #take(count: number): Buffer {
    const end = this.#at + count
    if (end > this.#bytes.length) throw this.#malformed('it is cut off')
    const bytes = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return bytes
  }

  #malformed(why: string, cause?: unknown): CorrosionError {
    return new CorrosionError('corrosion.key_malformed', {
      what: `a packed primary key cannot be read: ${why}`,
      values: { key: this.#bytes.subarray(0, 64).toString('hex') },
      cause,
    })
  }
}
