import { BodyReader } from '../http1/body-reader.ts'
import { faultName } from '../http1/fault.ts'
import { parseResponseHead, ResponseHead } from '../http1/response-head.ts'
import type { Memory, MemoryPool } from '../net/memory.ts'
import { HeldBytes } from './held-bytes.ts'

/** What a reader tells of one response. Any of these may end the response: `stop`, or `begin` of another. */
export interface ResponseSink {
  /** A 1xx head but 101. `head` holds during the call only. */
  informed(head: ResponseHead): void
  /** 101: behind its head came memory[start, end) of what is now spoken. */
  switched(head: ResponseHead, memory: Memory, start: number, end: number): void
  /** The final head. */
  headRead(head: ResponseHead): void
  /** memory[start, start + length) of the body; holds during the call only. */
  bodyRead(memory: Memory, start: number, length: number): void
  /** @param hasExcess more came than the response: the connection is of no use to others */
  responseRead(trailer: Buffer | undefined, hasExcess: boolean): void
  /** What came is no response. @param fault a name for the log; 'memory': the head could not be held */
  unreadable(fault: string): void
}

type State = 'stopped' | 'head' | 'body'

/** One for all of the process: a parsed head holds only during a turn. */
const responseHead = new ResponseHead()

/** Reads one response after the other from the bytes of machines: heads that come in pieces, bodies by their framing. */
export class ResponseReader {
  readonly #sink: ResponseSink
  readonly #headBytesMax: number
  readonly #held: HeldBytes
  readonly #body = new BodyReader()
  #state: State = 'stopped'
  #isHead = false
  /** Counts responses: what the sink does may begin the next. */
  #turn = 0
  /** No byte of the response has come. */
  isUntouched = true

  constructor(sink: ResponseSink, pool: MemoryPool, headBytesMax: number) {
    this.#sink = sink
    this.#headBytesMax = headBytesMax
    this.#held = new HeldBytes(pool)
  }

  /** The next response is awaited. @param isHead of a HEAD request: it has no body */
  begin(isHead: boolean): void {
    this.stop()
    this.#state = 'head'
    this.#isHead = isHead
    this.isUntouched = true
  }

  /** Nothing more of this response is wanted. */
  stop(): void {
    this.#turn += 1
    this.#state = 'stopped'
    this.#held.give()
  }

  /** The response is read up to its body, which ends with the connection. */
  get endsWithConnection(): boolean {
    return this.#state === 'body' && this.#body.endsWithConnection
  }

  /** memory[start, end) came. HOT. */
  read(memory: Memory, start: number, end: number): void {
    this.isUntouched = false
    if (this.#state === 'body') this.#readBody(memory, start, end)
    else if (this.#state === 'head') {
      if (this.#held.memory === undefined) this.#readHead(memory, start, end)
      else this.#readHeld(memory, start, end)
    }
  }

  /** More of a head that began earlier. */
  #readHeld(memory: Memory, start: number, end: number): void {
    if (!this.#hold(memory, start, end)) return
    const until = this.#held.end
    const held = this.#held.take() as Memory
    this.#readHead(held, 0, until)
    this.#held.giveBack(held)
  }

  #hold(memory: Memory, start: number, end: number): boolean {
    if (this.#held.add(memory, start, end)) return true
    this.#sink.unreadable('memory')
    return false
  }

  #readHead(memory: Memory, start: number, end: number): void {
    const head = responseHead
    const headEnd = parseResponseHead(
      memory.bytes,
      start,
      end,
      head,
      this.#isHead,
      this.#headBytesMax,
    )
    if (headEnd === 0) this.#hold(memory, start, end)
    else if (headEnd < 0) this.#sink.unreadable(faultName(headEnd))
    else if (head.status === 101) this.#sink.switched(head, memory, headEnd, end)
    else if (head.status < 200) this.#informed(head, memory, headEnd, end)
    else this.#finalHead(head, memory, headEnd, end)
  }

  #informed(head: ResponseHead, memory: Memory, headEnd: number, end: number): void {
    const turn = this.#turn
    this.#sink.informed(head)
    if (turn === this.#turn && headEnd < end) this.#readHead(memory, headEnd, end)
  }

  #finalHead(head: ResponseHead, memory: Memory, bodyStart: number, end: number): void {
    const turn = this.#turn
    this.#state = 'body'
    this.#body.begin(head.framing, head.contentLength)
    this.#sink.headRead(head)
    if (turn !== this.#turn) return
    if (this.#body.isDone) this.#ended(bodyStart < end)
    else if (bodyStart < end) this.#readBody(memory, bodyStart, end)
  }

  #readBody(memory: Memory, start: number, end: number): void {
    const turn = this.#turn
    const body = this.#body
    const length = body.read(memory.bytes, start, end)
    if (length < 0) {
      this.#sink.unreadable(faultName(length))
      return
    }
    const isDone = body.isDone
    const hasExcess = body.consumed < end
    if (length > 0) this.#sink.bodyRead(memory, start, length)
    if (isDone && turn === this.#turn) this.#ended(hasExcess)
  }

  #ended(hasExcess: boolean): void {
    const { trailer } = this.#body
    this.stop()
    this.#sink.responseRead(trailer, hasExcess)
  }
}
