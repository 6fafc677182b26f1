import { HeadWriter } from '../http1/head-writer.ts'
import type { Memory } from '../net/memory.ts'
import { Flag, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, Type } from './frame.ts'

export const STAGE_BYTES: number = 128 << 10
/** A head is at most so long; what apps' rules add to it is within it, too. */
const BLOCK_ROOM_BYTES = 96 << 10
const NO_BYTES = Buffer.alloc(0)

/** Where frames go. */
export interface FrameOutlet {
  /** Memory of STAGE_BYTES for what is written from now on; undefined: the proxy is at its memory bound. */
  takeStage(): Memory | undefined
  /** Sends what was written: the first `length` bytes. The memory is the outlet's again. */
  sendStage(memory: Memory, length: number): void
}

/**
 * The frames of one turn of one connection, one behind the other, so that they are sent at once. It has memory only
 * while there is something in it.
 */
export class FrameWriter {
  readonly #outlet: FrameOutlet
  #memory: Memory | undefined
  readonly #writer = new HeadWriter(NO_BYTES)
  /** The last HEADERS or DATA frame that is still here: where it starts, and of which stream it is. */
  #lastAt = -1
  #lastStream = 0
  /** No memory was to be had, or more was written than there was: what follows goes nowhere. */
  isBroken = false

  constructor(outlet: FrameOutlet) {
    this.#outlet = outlet
  }

  get isEmpty(): boolean {
    return this.#memory === undefined
  }

  /** The writer, with room for so many bytes. */
  #room(bytes: number): HeadWriter | undefined {
    if (this.#memory !== undefined && this.#writer.at + bytes > STAGE_BYTES) this.flush()
    if (this.#memory === undefined) {
      if (this.isBroken) return undefined
      const memory = this.#outlet.takeStage()
      if (memory === undefined) {
        this.isBroken = true
        return undefined
      }
      this.#memory = memory
      this.#writer.bytes = memory.bytes
      this.#writer.at = 0
    }
    return this.#writer
  }

  flush(): void {
    const memory = this.#memory
    if (memory === undefined) return
    this.#memory = undefined
    this.#lastAt = -1
    const length = this.#writer.at
    this.#writer.bytes = NO_BYTES
    if (length > STAGE_BYTES) this.isBroken = true
    this.#outlet.sendStage(memory, this.isBroken ? 0 : length)
  }

  /** A frame of a few octets: `first` and, unless it is undefined, `second` as 32 bits each. */
  short(type: number, flags: number, stream: number, first: number, second?: number): void {
    const length = second === undefined ? 4 : 8
    const out = this.#room(FRAME_HEADER_BYTES + length)
    if (out === undefined) return
    writeHeader(out, length, type, flags, stream)
    writeUint32(out, first)
    if (second !== undefined) writeUint32(out, second)
  }

  /** A frame with the payload bytes[start, end), of up to a few KiB. */
  frame(
    type: number,
    flags: number,
    stream: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const out = this.#room(FRAME_HEADER_BYTES + end - start)
    if (out === undefined) return
    writeHeader(out, end - start, type, flags, stream)
    out.copy(bytes, start, end)
  }

  /** One DATA frame of memory[start, start + length), of up to FRAME_BYTES_MAX. HOT. */
  data(stream: number, bytes: Uint8Array, start: number, length: number, endStream: boolean): void {
    const out = this.#room(FRAME_HEADER_BYTES + length)
    if (out === undefined) return
    this.#lastAt = out.at
    this.#lastStream = stream
    writeHeader(out, length, Type.data, endStream ? Flag.endStream : 0, stream)
    out.copy(bytes, start, start + length)
  }

  /** The stream ends: with its last frame, when that is still here, else with an empty one. HOT. */
  endStream(stream: number): void {
    const { bytes } = this.#writer
    const flags = this.#lastAt + 4
    if (this.#lastAt >= 0 && this.#lastStream === stream)
      bytes[flags] = (bytes[flags] as number) | Flag.endStream
    else this.data(stream, NO_BYTES, 0, 0, true)
    this.#lastAt = -1
  }

  /** HEADERS, and CONTINUATION where they are needed, with the block that `write` writes. HOT. */
  headers(stream: number, endStream: boolean, write: (out: HeadWriter) => void): void {
    const out = this.#room(FRAME_HEADER_BYTES + BLOCK_ROOM_BYTES)
    if (out === undefined) return
    const at = out.at
    this.#lastAt = at
    this.#lastStream = stream
    out.at += FRAME_HEADER_BYTES
    write(out)
    const end = out.at
    const start = at + FRAME_HEADER_BYTES
    const flags = endStream ? Flag.endStream : 0
    if (end - start <= FRAME_BYTES_MAX) {
      out.at = at
      writeHeader(out, end - start, Type.headers, flags | Flag.endHeaders, stream)
      out.at = end
    } else splitBlock(out, start, end, stream, flags)
  }
}

/** Puts headers between the pieces of a block that is longer than a frame. COLD. */
function splitBlock(out: HeadWriter, start: number, end: number, stream: number, flags: number) {
  const pieces = Math.ceil((end - start) / FRAME_BYTES_MAX)
  for (let piece = pieces - 1; piece >= 0; piece -= 1) {
    const from = start + piece * FRAME_BYTES_MAX
    const to = Math.min(end, from + FRAME_BYTES_MAX)
    const target = from + piece * FRAME_HEADER_BYTES
    out.bytes.copyWithin(target, from, to)
    out.at = target - FRAME_HEADER_BYTES
    const last = piece === pieces - 1 ? Flag.endHeaders : 0
    if (piece === 0) writeHeader(out, to - from, Type.headers, flags | last, stream)
    else writeHeader(out, to - from, Type.continuation, last, stream)
  }
  out.at = end + (pieces - 1) * FRAME_HEADER_BYTES
}

function writeHeader(out: HeadWriter, length: number, type: number, flags: number, stream: number) {
  const { bytes, at } = out
  bytes[at] = length >> 16
  bytes[at + 1] = length >> 8
  bytes[at + 2] = length
  bytes[at + 3] = type
  bytes[at + 4] = flags
  out.at = at + 5
  writeUint32(out, stream)
}

export function writeUint32(out: HeadWriter, value: number): void {
  const { bytes, at } = out
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
  out.at = at + 4
}
