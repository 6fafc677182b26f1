import type { Memory, MemoryPool } from '../net/memory.ts'
import {
  Code,
  Flag,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
  PREFACE,
  readUint24,
  readUint31,
  Type,
} from './frame.ts'

/** Who is told of frames. Whatever a call does, the reader goes on with the next frame until `isOver`. */
export interface FrameSink {
  /** Nothing more is to be read. */
  readonly isOver: boolean
  /** A whole frame, of any type but DATA; its payload holds during the call only. */
  frame(
    type: number,
    flags: number,
    stream: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void
  /** A DATA frame begins. @param length of its payload with padding: what counts for flow control */
  dataBegins(flags: number, stream: number, length: number): void
  /** Some of its data. */
  dataPiece(memory: Memory, start: number, length: number): void
  dataEnds(): void
  /** No frames of HTTP/2. */
  broken(code: Code): void
}

/** Finds frames in what comes, however it is cut. DATA is told as it comes, others when they are whole. */
export class FrameReader {
  readonly #sink: FrameSink
  readonly #pool: MemoryPool
  #prefaceLeft: number = PREFACE.length
  // a header that came in pieces
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES)
  #headerBytes = 0
  // a frame under way
  #type = 0
  #flags = 0
  #stream = 0
  #length = 0
  /** What came of its payload, where it came in pieces. */
  #held: Memory | undefined
  #heldBytes = 0
  // DATA under way
  #isData = false
  #awaitsPadLength = false
  #dataLeft = 0
  #padLeft = 0

  constructor(sink: FrameSink, pool: MemoryPool) {
    this.#sink = sink
    this.#pool = pool
  }

  /** A frame other than DATA has begun and not ended. */
  get isWithinFrame(): boolean {
    return this.#headerBytes > 0 || this.#held !== undefined || this.#prefaceLeft > 0
  }

  /** memory[start, end) came. HOT. */
  read(memory: Memory, start: number, end: number): void {
    const { bytes } = memory
    let at = this.#prefaceLeft > 0 ? this.#readPreface(bytes, start, end) : start
    while (at < end && !this.#sink.isOver) {
      if (this.#isData) at = this.#readData(memory, at, end)
      else if (this.#held !== undefined) at = this.#hold(bytes, at, end)
      else at = this.#readHeader(bytes, at, end)
    }
  }

  /** Gives memory back. */
  dispose(): void {
    if (this.#held !== undefined) this.#pool.give(this.#held)
    this.#held = undefined
  }

  #readPreface(bytes: Uint8Array, start: number, end: number): number {
    let at = start
    while (at < end && this.#prefaceLeft > 0) {
      if (bytes[at] !== PREFACE[PREFACE.length - this.#prefaceLeft]) {
        this.#sink.broken(Code.protocolError)
        return end
      }
      at += 1
      this.#prefaceLeft -= 1
    }
    return at
  }

  #readHeader(bytes: Uint8Array, start: number, end: number): number {
    let header = bytes
    let from = start
    let at = start + FRAME_HEADER_BYTES
    if (this.#headerBytes > 0 || at > end) {
      const taken = Math.min(end - start, FRAME_HEADER_BYTES - this.#headerBytes)
      for (let index = 0; index < taken; index += 1)
        this.#header[this.#headerBytes + index] = bytes[start + index] as number
      this.#headerBytes += taken
      if (this.#headerBytes < FRAME_HEADER_BYTES) return end
      this.#headerBytes = 0
      header = this.#header
      from = 0
      at = start + taken
    }
    const length = readUint24(header, from)
    this.#length = length
    this.#type = header[from + 3] as number
    this.#flags = header[from + 4] as number
    this.#stream = readUint31(header, from + 5)
    if (length > FRAME_BYTES_MAX) {
      this.#sink.broken(Code.frameSizeError)
      return end
    }
    if (this.#type === Type.data) {
      this.#beginData()
      return at
    }
    if (at + length <= end) {
      this.#sink.frame(this.#type, this.#flags, this.#stream, bytes, at, at + length)
      return at + length
    }
    this.#held = this.#pool.take(length)
    this.#heldBytes = 0
    if (this.#held === undefined) this.#sink.broken(Code.enhanceYourCalm)
    return at
  }

  #hold(bytes: Uint8Array, start: number, end: number): number {
    const held = this.#held as Memory
    const taken = Math.min(end - start, this.#length - this.#heldBytes)
    held.bytes.set(bytes.subarray(start, start + taken), this.#heldBytes)
    this.#heldBytes += taken
    if (this.#heldBytes === this.#length) {
      this.#held = undefined
      this.#sink.frame(this.#type, this.#flags, this.#stream, held.bytes, 0, this.#length)
      this.#pool.give(held)
    }
    return start + taken
  }

  #beginData(): void {
    this.#isData = true
    this.#awaitsPadLength = (this.#flags & Flag.padded) !== 0
    this.#dataLeft = this.#length
    this.#padLeft = 0
    if (this.#awaitsPadLength && this.#length === 0) {
      this.#sink.broken(Code.frameSizeError)
      return
    }
    this.#sink.dataBegins(this.#flags, this.#stream, this.#length)
    if (this.#length === 0) this.#endData()
  }

  #readData(memory: Memory, start: number, end: number): number {
    let at = start
    if (this.#awaitsPadLength) {
      this.#awaitsPadLength = false
      this.#padLeft = memory.bytes[at] as number
      at += 1
      this.#dataLeft -= 1 + this.#padLeft
      if (this.#dataLeft < 0) {
        this.#sink.broken(Code.protocolError)
        return end
      }
    }
    const taken = Math.min(end - at, this.#dataLeft)
    if (taken > 0) {
      this.#dataLeft -= taken
      this.#sink.dataPiece(memory, at, taken)
      at += taken
    }
    if (this.#dataLeft > 0) return at
    const padding = Math.min(end - at, this.#padLeft)
    this.#padLeft -= padding
    if (this.#padLeft === 0) this.#endData()
    return at + padding
  }

  #endData(): void {
    this.#isData = false
    this.#sink.dataEnds()
  }
}
