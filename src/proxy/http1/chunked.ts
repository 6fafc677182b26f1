import { Fault } from './fault.ts'
import { CR, FIELD_VALUE, HEX_VALUE, LF } from './octets.ts'

/** Digits of one chunk size; 13 are exact in a double, leading zeros are allowed up to here. */
const SIZE_DIGITS_MAX = 13
/** Chunk extensions of one message together: nobody has a use for them, attackers do. */
const EXTENSION_BYTES_MAX = 4 << 10
/** @see RFC 9112, section 7.1.2 */
export const TRAILER_BYTES_MAX = 8 << 10

const State = {
  size: 0,
  extension: 1,
  sizeLf: 2,
  data: 3,
  dataCr: 4,
  dataLf: 5,
  trailer: 6,
  done: 7,
} as const
type State = (typeof State)[keyof typeof State]

/**
 * Takes the chunked coding off a body, piece by piece. Source: RFC 9112, section 7.1; a bare LF, a space
 * before an extension, a sign or `0x` are refused. Reusable after `reset`.
 */
export class ChunkedDecoder {
  #state: State = State.size
  #left = 0
  #digits = 0
  #extensionBytes = 0
  #trailer: Buffer | undefined
  /** The last decode consumed up to here; what follows belongs to the next message. */
  consumed = 0

  reset(): void {
    this.#state = State.size
    this.#left = 0
    this.#digits = 0
    this.#extensionBytes = 0
    this.#trailer = undefined
  }

  get isDone(): boolean {
    return this.#state === State.done
  }

  /** The trailer section with its last empty line; undefined when it was empty. */
  get trailer(): Buffer | undefined {
    return this.#trailer
  }

  /**
   * Decodes bytes[start, end) in place: the data of all chunks in it ends up at `start`, in a row. HOT.
   * @returns how many bytes of data there are, or a Fault.
   */
  decode(bytes: Uint8Array, start: number, end: number): number {
    let write = start
    let at = start
    while (at < end && this.#state !== State.done) {
      if (this.#state === State.data) {
        const length = Math.min(this.#left, end - at)
        if (write !== at) bytes.copyWithin(write, at, at + length)
        write += length
        at += length
        this.#left -= length
        if (this.#left === 0) this.#state = State.dataCr
        continue
      }
      if (this.#state === State.trailer) {
        at = this.#takeTrailer(bytes, at, end)
        if (at < 0) return at
        continue
      }
      const fault = this.#step(bytes[at] as number)
      if (fault < 0) return fault
      at += 1
    }
    this.consumed = at
    return write - start
  }

  /** One octet of the framing. @returns 0 or a Fault. */
  #step(octet: number): number {
    switch (this.#state) {
      case State.size: {
        const value = HEX_VALUE[octet] as number
        if (value !== 255) {
          if (this.#digits === SIZE_DIGITS_MAX) return Fault.chunk
          this.#digits += 1
          this.#left = this.#left * 16 + value
          return 0
        }
        if (this.#digits === 0) return Fault.chunk
        if (octet === CR) this.#state = State.sizeLf
        else if (octet === 59) this.#state = State.extension
        else return Fault.chunk
        return 0
      }
      case State.extension:
        if (octet === CR) this.#state = State.sizeLf
        else if (FIELD_VALUE[octet] === 0) return Fault.chunk
        this.#extensionBytes += 1
        return this.#extensionBytes > EXTENSION_BYTES_MAX ? Fault.chunk : 0
      case State.sizeLf:
        if (octet !== LF) return Fault.chunk
        this.#state = this.#left === 0 ? State.trailer : State.data
        this.#digits = 0
        return 0
      case State.dataCr:
        if (octet !== CR) return Fault.chunk
        this.#state = State.dataLf
        return 0
      default:
        if (octet !== LF) return Fault.chunk
        this.#state = State.size
        return 0
    }
  }

  /** Collects the trailer section. @returns how far it read, or a Fault. */
  #takeTrailer(bytes: Uint8Array, start: number, end: number): number {
    if (
      this.#trailer === undefined &&
      end - start >= 2 &&
      bytes[start] === CR &&
      bytes[start + 1] === LF
    ) {
      this.#state = State.done // no trailer: the common case, nothing is copied
      return start + 2
    }
    const before = this.#trailer ?? Buffer.alloc(0)
    const piece = Buffer.concat([before, bytes.subarray(start, end)])
    const length = sectionLength(piece, Math.max(0, before.length - 3))
    if (length === 0) {
      if (piece.length > TRAILER_BYTES_MAX) return Fault.trailer
      this.#trailer = piece
      return end
    }
    if (length > TRAILER_BYTES_MAX) return Fault.trailer
    this.#trailer = length === 2 ? undefined : piece.subarray(0, length)
    this.#state = State.done
    return start + length - before.length
  }
}

/** The length of a field section including its empty line; 0 while that has not come. */
function sectionLength(bytes: Buffer, from: number): number {
  if (bytes[0] === CR && bytes[1] === LF) return 2
  const at = bytes.indexOf('\r\n\r\n', from, 'latin1')
  return at < 0 ? 0 : at + 4
}

/** Room before a piece of data for its chunk size and CR LF. */
export const CHUNK_PREFIX_BYTES = 16

const HEX_DIGITS = Buffer.from('0123456789abcdef')

/**
 * Writes the size line of a chunk so that it ends at `dataStart`, in the same bytes. HOT.
 * @returns where the line starts.
 */
export function writeChunkSize(bytes: Uint8Array, dataStart: number, length: number): number {
  let at = dataStart - 1
  bytes[at] = LF
  at -= 1
  bytes[at] = CR
  let left = length
  do {
    at -= 1
    bytes[at] = HEX_DIGITS[left % 16] as number
    left = Math.floor(left / 16)
  } while (left > 0)
  return at
}
