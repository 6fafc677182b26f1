import { parseRequestHead, RequestHead } from '../http1/request-head.ts'
import { type RequestExtras, type RequestHop, writeRequestHead } from '../http1/write-request.ts'
import type { Memory } from '../net/memory.ts'
import type { Outbox } from '../net/outbox.ts'
import type { ToMachine, ToRemote } from '../route.ts'
import type { Engine } from './engine.ts'
import { KeptRequest } from './kept-request.ts'

/** One for all of the process: a parsed head holds only during a turn. */
const keptHead = new RequestHead()
/** Refilled for each head that is written. */
const extras: { -readonly [Key in keyof RequestExtras]: RequestExtras[Key] } = {
  requestId: Buffer.alloc(0),
  startUs: 0,
  headers: undefined,
  target: undefined,
}

/** A request on its way to one machine after the other: what has come of it is kept, and sent as HTTP/1.1. */
export class RequestSender {
  readonly #engine: Engine
  readonly #hop: RequestHop
  readonly #kept: KeptRequest
  readonly #requestId: Buffer
  #isChunked = false
  #trailer: Buffer | undefined
  isIdempotent = false
  isUpgrade = false
  /** All of it has come from the client. */
  isDone = true
  /** Microseconds since 1970. */
  startUs = 0
  /** Of the body. */
  sentBytes = 0

  constructor(engine: Engine, hop: RequestHop, requestId: Buffer) {
    this.#engine = engine
    this.#hop = hop
    this.#requestId = requestId
    this.#kept = new KeptRequest(engine.heads)
  }

  /** It can be sent once more: all that has come of it is kept. */
  get isWhole(): boolean {
    return this.#kept.isWhole
  }

  /** With the head that was just parsed. HOT. @returns false when the proxy is at its memory bound */
  begin(head: RequestHead, start: number, end: number): boolean {
    this.startUs = Math.round((performance.timeOrigin + performance.now()) * 1000)
    this.isIdempotent = head.isIdempotent
    this.isUpgrade = head.isUpgrade
    this.#isChunked = head.isChunked
    this.#trailer = undefined
    this.isDone = !head.hasBody
    this.sentBytes = 0
    return this.#kept.begin(head.bytes, start, end)
  }

  /** The kept head, parsed once more: others have been parsed since. Holds during this turn. */
  headAgain(): RequestHead {
    const { memory, headBytes } = this.#kept
    parseRequestHead(memory.bytes, 0, headBytes, keptHead, this.#engine.limits)
    return keptHead
  }

  /** The head as this machine gets it, and what has come of the body. */
  send(to: ToMachine | ToRemote, head: RequestHead, outbox: Outbox): void {
    this.#kept.limit = to.keepBodyBytes
    extras.requestId = this.#requestId
    extras.startUs = this.startUs
    extras.headers = to.headers
    extras.target = to.target
    writeRequestHead(outbox.writer, head, this.#hop, extras)
    const { bodyStart, bodyEnd, memory } = this.#kept
    if (bodyEnd > bodyStart) outbox.data(memory, bodyStart, bodyEnd - bodyStart, this.#isChunked)
    if (this.isDone && this.#isChunked) this.#writeLastChunk(outbox)
  }

  /** memory[start, start + length) of the body, without its framing. @param outbox undefined: it follows the head */
  data(memory: Memory, start: number, length: number, outbox: Outbox | undefined): void {
    this.#kept.add(memory, start, length)
    this.sentBytes += length
    outbox?.data(memory, start, length, this.#isChunked)
  }

  end(trailer: Buffer | undefined, outbox: Outbox | undefined): void {
    this.isDone = true
    this.#trailer = trailer
    if (outbox !== undefined && this.#isChunked) this.#writeLastChunk(outbox)
  }

  #writeLastChunk({ writer }: Outbox): void {
    writer.text('0\r\n')
    if (this.#trailer === undefined) writer.lineEnd()
    else writer.piece(this.#trailer)
  }

  /** Keeps it no longer. */
  give(): void {
    this.#kept.give()
  }
}
