import { CHUNK_PREFIX_BYTES, writeChunkSize } from '../http1/chunked.ts'
import { HeadWriter } from '../http1/head-writer.ts'
import { CR, LF } from '../http1/octets.ts'
import type { Channel } from './channel.ts'
import { EAGAIN } from './libc.ts'
import { Memory, type MemoryPool } from './memory.ts'

const STAGE_BYTES = 256 << 10
/** Data up to here is copied behind what is staged: one send instead of two. */
const COPY_BYTES_MAX = 16 << 10

/**
 * Where the pieces of one turn (head, data, end) come together before they are sent at once. Shared by
 * all outboxes of one direction; empty between turns.
 */
export class Stage {
  readonly memory = new Memory(STAGE_BYTES)
  readonly writer = new HeadWriter(this.memory.bytes)
  /** Whose bytes are in it: they can never leave on another's channel. */
  owner: Outbox | undefined
}

/**
 * What is sent on a channel. What the kernel does not take at once waits in memory of the pool: its
 * source must stop when `isFull`, so that no more than one turn's bytes ever wait.
 */
export class Outbox {
  readonly #channel: Channel
  readonly #stage: Stage
  readonly #pool: MemoryPool
  #waiting: Memory | undefined
  #waitingStart = 0
  #waitingEnd = 0
  /** False until a connection is made: all that is sent waits. */
  isOpen: boolean
  isBroken = false
  #endsAfter = false
  sentBytes = 0

  constructor(channel: Channel, stage: Stage, pool: MemoryPool, isOpen = true) {
    this.#channel = channel
    this.#stage = stage
    this.#pool = pool
    this.isOpen = isOpen
  }

  /** Something waits: bring no more. */
  get isFull(): boolean {
    return this.#waiting !== undefined
  }

  /** Where a head is written; `flush` sends it. Room for a head and more is certain. */
  get writer(): HeadWriter {
    const stage = this.#stage
    if (stage.owner !== this) {
      stage.owner?.flush()
      stage.owner = this
    }
    return stage.writer
  }

  /** Bytes of a body, as they are or as one chunk. `memory` has room for framing before `start`. */
  data(memory: Memory, start: number, length: number, isChunked: boolean): void {
    const { writer } = this
    if (length <= COPY_BYTES_MAX) {
      if (writer.at + length + 64 > STAGE_BYTES) this.flush()
      if (isChunked) writeStagedSize(writer, length)
      writer.copy(memory.bytes, start, start + length)
      if (isChunked) writer.lineEnd()
      return
    }
    this.flush()
    if (!isChunked || start < CHUNK_PREFIX_BYTES) {
      if (isChunked) {
        writeStagedSize(writer, length)
        this.flush()
      }
      this.send(memory, start, length)
      if (isChunked) writer.lineEnd()
      return
    }
    const { bytes } = memory
    const end = start + length
    if (end + 2 > memory.size) {
      const from = writeChunkSize(bytes, start, length)
      this.send(memory, from, end - from)
      writer.lineEnd()
      return
    }
    const first = bytes[end] as number
    const second = bytes[end + 1] as number
    bytes[end] = CR
    bytes[end + 1] = LF
    const from = writeChunkSize(bytes, start, length)
    this.send(memory, from, end + 2 - from)
    bytes[end] = first // it may be the start of the next message
    bytes[end + 1] = second
  }

  /** Sends what is staged. */
  flush(): void {
    const { writer, memory, owner } = this.#stage
    if (owner !== this || writer.at === 0) return
    const length = writer.at
    writer.at = 0
    this.send(memory, 0, length)
  }

  /** Sends memory[start, start + length) now, or keeps what the kernel does not take. */
  send(memory: Memory, start: number, length: number): void {
    if (length === 0 || this.isBroken) return
    let sent = 0
    if (this.#waiting === undefined && this.isOpen) {
      const result = this.#channel.send(memory, start, length)
      if (result >= 0) {
        this.sentBytes += result
        if (result === length) return
        sent = result
      } else if (result !== EAGAIN) {
        this.isBroken = true
        return
      }
    }
    this.#keep(memory, start + sent, length - sent)
  }

  #keep(memory: Memory, start: number, length: number): void {
    const waiting = this.#room(length)
    if (waiting === undefined) {
      this.isBroken = true // the proxy is at its memory bound: this connection goes
      return
    }
    memory.bytes.copy(waiting.bytes, this.#waitingEnd, start, start + length)
    this.#waitingEnd += length
  }

  /** Memory with `length` free bytes at `#waitingEnd`. */
  #room(length: number): Memory | undefined {
    const { bytes, size } = this.#waiting ?? NO_MEMORY
    if (this.#waiting !== undefined && this.#waitingEnd + length <= size) return this.#waiting
    const held = this.#waitingEnd - this.#waitingStart
    const larger = this.#pool.take(held + length)
    if (larger === undefined) return undefined
    if (this.#waiting !== undefined) {
      bytes.copy(larger.bytes, 0, this.#waitingStart, this.#waitingEnd)
      this.#pool.give(this.#waiting)
    }
    this.#waiting = larger
    this.#waitingStart = 0
    this.#waitingEnd = held
    return larger
  }

  /** The channel takes bytes again. @returns true when nothing waits any more. */
  drain(): boolean {
    const waiting = this.#waiting
    if (waiting === undefined || this.isBroken) return !this.isBroken
    while (this.#waitingStart < this.#waitingEnd) {
      const result = this.#channel.send(
        waiting,
        this.#waitingStart,
        this.#waitingEnd - this.#waitingStart,
      )
      if (result === EAGAIN) return false
      if (result < 0) {
        this.isBroken = true
        return false
      }
      this.#waitingStart += result
      this.sentBytes += result
    }
    this.#drop()
    if (this.#endsAfter) this.#channel.endWrite()
    return true
  }

  /** Ends the sending direction after all that was sent. */
  end(): void {
    this.flush()
    if (this.#waiting === undefined && this.isOpen) this.#channel.endWrite()
    else this.#endsAfter = true
  }

  #drop(): void {
    if (this.#waiting !== undefined) this.#pool.give(this.#waiting)
    this.#waiting = undefined
    this.#waitingStart = 0
    this.#waitingEnd = 0
  }

  /** Gives its memory back. Nothing is sent any more. */
  dispose(): void {
    this.isBroken = true
    this.flush() // what is staged goes nowhere
    if (this.#stage.owner === this) this.#stage.owner = undefined
    this.#drop()
  }
}

const NO_MEMORY = { bytes: Buffer.alloc(0), size: 0 }

const HEX = 16

function writeStagedSize(writer: HeadWriter, length: number): void {
  writer.text(length.toString(HEX))
  writer.lineEnd()
}
