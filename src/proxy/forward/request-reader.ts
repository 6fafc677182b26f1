import { LF } from '../http1/octets.ts'
import { parseRequestHead, RequestHead } from '../http1/request-head.ts'
import type { Memory, MemoryPool } from '../net/memory.ts'
import { HeldBytes } from './held-bytes.ts'
import type { ProxyLimits } from './limits.ts'
import { RequestBody } from './request-body.ts'

/** What a reader tells of a connection's requests. Any of these may end the reading: `stop`; or take the next: `next`. */
export interface RequestSink {
  /** The first part of a head came, and no more yet. */
  headBegun(): void
  /** A head was parsed from bytes[start, end) of `head`, which holds during the call only. */
  headRead(head: RequestHead, start: number, end: number): void
  /** Bytes of the body came, of which memory[start, start + length) are data; holds during the call only. */
  bodyRead(memory: Memory, start: number, length: number): void
  /** The body is whole. A request without one is so with its head. */
  requestRead(trailer: Buffer | undefined): void
  /** What came is no request. @param fault a Fault */
  unreadable(fault: number): void
  /** What came cannot be used yet, and the proxy is at its memory bound. */
  unheld(): void
}

/** What a reader has of the engine. */
interface ReaderOptions {
  readonly heads: MemoryPool
  readonly limits: ProxyLimits
  readonly loop: { readonly nowMs: number }
}

/** One for all connections of the process: a parsed head holds only during a turn. */
const requestHead = new RequestHead()

/** Reads the requests of an HTTP/1.1 connection, one after the other: heads that come in pieces, bodies, pipelined ones. */
export class RequestReader {
  readonly #engine: ReaderOptions
  readonly #sink: RequestSink
  readonly #held: HeldBytes
  readonly #body = new RequestBody()
  /** `head`: waits for a request. `body`: its body is coming. `whole`: it is here; `next` goes on behind it. */
  state: 'head' | 'body' | 'whole' | 'stopped' = 'head'

  constructor(engine: ReaderOptions, sink: RequestSink) {
    this.#engine = engine
    this.#sink = sink
    this.#held = new HeldBytes(engine.heads)
  }

  /** Something came that was not used yet: part of a head, or pipelined requests. */
  get holds(): boolean {
    return this.#held.memory !== undefined
  }

  /** The body that is coming does not come at the pace that it must. */
  isTooSlow(nowMs: number): boolean {
    return this.#body.isTooSlow(nowMs, this.#engine.limits)
  }

  /** memory[start, end) came. HOT. */
  read(memory: Memory, start: number, end: number): void {
    if (this.state === 'head' && this.#held.memory !== undefined) this.#readMore(memory, start, end)
    else this.#consume(memory, start, end)
  }

  /** The request was answered: the one behind it, which may be here already. */
  next(): void {
    this.state = 'head'
    this.#consumeHeld()
  }

  /** Nothing more is wanted. */
  stop(): void {
    this.state = 'stopped'
    this.#held.give()
  }

  /** The same, for who goes on with the connection: a copy of what came behind the request. */
  takeHeld(): Buffer | undefined {
    const { memory, end } = this.#held
    const held = memory === undefined ? undefined : Buffer.from(memory.bytes.subarray(0, end))
    this.stop()
    return held
  }

  /** More of a head that began earlier. It is looked at only when a line ended. */
  #readMore(memory: Memory, start: number, end: number): void {
    const held = this.#held
    if (!this.#hold(memory, start, end)) return
    const { headBytesMax, targetBytesMax } = this.#engine.limits
    const hasLine = memory.bytes.subarray(start, end).includes(LF)
    if (!hasLine && held.end <= Math.min(headBytesMax, targetBytesMax + 64)) return
    this.#consumeHeld()
  }

  #consumeHeld(): void {
    const { end } = this.#held
    const held = this.#held.take()
    if (held === undefined) return
    this.#consume(held, 0, end)
    this.#held.giveBack(held)
  }

  /** memory[start, end) in the order in which it came: heads, bodies, heads. */
  #consume(memory: Memory, start: number, end: number): void {
    let at = start
    while (at < end) {
      if (this.state === 'head') {
        const headEnd = parseRequestHead(memory.bytes, at, end, requestHead, this.#engine.limits)
        if (headEnd === 0) {
          if (this.#held.memory === undefined) this.#sink.headBegun()
          this.#hold(memory, at, end)
          return
        }
        if (headEnd < 0) {
          this.#sink.unreadable(headEnd)
          return
        }
        this.#begin(at, headEnd)
        at = headEnd
      } else if (this.state === 'body') {
        at = this.#readBody(memory, at, end)
      } else {
        if (this.state === 'whole') this.#hold(memory, at, end)
        return
      }
    }
  }

  #begin(start: number, end: number): void {
    const head = requestHead
    if (head.hasBody) {
      this.state = 'body'
      this.#body.begin(head, this.#engine.loop.nowMs)
    } else this.state = 'whole'
    this.#sink.headRead(head, start, end)
  }

  /** @returns where the body's part of memory[start, end) ends. */
  #readBody(memory: Memory, start: number, end: number): number {
    const body = this.#body
    const count = body.read(memory.bytes, start, end)
    if (count < 0) {
      this.#sink.unreadable(count)
      return end
    }
    const { consumed, isDone, trailer } = body
    this.#sink.bodyRead(memory, start, count)
    if (isDone) {
      if (this.state === 'body') this.state = 'whole'
      this.#sink.requestRead(trailer)
    }
    return consumed
  }

  /** Keeps memory[start, end) behind what is held. @returns false when it could not. */
  #hold(memory: Memory, start: number, end: number): boolean {
    if (this.#held.add(memory, start, end)) return true
    this.#sink.unheld()
    return false
  }
}
