import type { RequestHead } from '../http1/request-head.ts'
import { Framing, type ResponseHead } from '../http1/response-head.ts'
import { cleanTrailer } from '../http1/trailer.ts'
import { ownResponse, type ResponseHop, writeResponseHead } from '../http1/write-response.ts'
import type { Memory } from '../net/memory.ts'
import type { Outbox } from '../net/outbox.ts'
import type { ResponseRules } from '../route.ts'
import { responseVia } from './hop.ts'
import { stageBytes } from './tunnel.ts'

/** How an answer is said to a client that speaks HTTP/1.1 or HTTP/1.0. Reused for each request of a connection. */
export class Http1Response {
  readonly #outbox: Outbox
  readonly #hop: ResponseHop
  #isHttp10 = false
  #takesTrailers = false
  #framing: Framing = Framing.none
  /** This answer is the connection's last one, whatever else there is. */
  #isLast = false
  /** The connection ends after this answer. */
  closesAfter = false

  constructor(outbox: Outbox, requestId: Buffer, rules: ResponseRules) {
    this.#outbox = outbox
    this.#hop = {
      framing: Framing.none,
      closes: false,
      isHttp10: false,
      requestId,
      rules,
      via: responseVia,
    }
  }

  /** For the request whose head was just parsed. HOT. */
  begin(head: RequestHead, isPersistent: boolean): void {
    this.#isHttp10 = head.isHttp10
    this.#takesTrailers = head.takesTrailers
    this.#isLast = !isPersistent
  }

  /** Of the service that answers. */
  useRules(rules: ResponseRules): void {
    this.#hop.rules = rules
  }

  /** Nothing more is read from this client. */
  endConnection(): void {
    this.#isLast = true
  }

  /** A head of 1xx. */
  informed(head: ResponseHead): void {
    if (this.#isHttp10) return // it knows no 1xx
    this.#hop.framing = Framing.none
    writeResponseHead(this.#outbox.writer, head, this.#hop)
  }

  /** The final head. @param closes the connection cannot go on after it. HOT. */
  head(head: ResponseHead, closes: boolean): void {
    const { framing } = head
    this.#framing =
      framing === Framing.chunked || framing === Framing.close
        ? this.#isHttp10
          ? Framing.close
          : Framing.chunked
        : framing
    this.closesAfter = this.#isLast || closes || this.#framing === Framing.close
    const hop = this.#hop
    hop.framing = this.#framing
    hop.closes = this.closesAfter
    hop.isHttp10 = this.#isHttp10
    writeResponseHead(this.#outbox.writer, head, hop)
  }

  /** HOT. */
  data(memory: Memory, start: number, length: number): void {
    this.#outbox.data(memory, start, length, this.#framing === Framing.chunked)
  }

  end(trailer: Buffer | undefined): void {
    if (this.#framing !== Framing.chunked) return
    const { writer } = this.#outbox
    writer.text('0\r\n')
    const cleaned = trailer !== undefined && this.#takesTrailers ? cleanTrailer(trailer) : undefined
    if (Buffer.isBuffer(cleaned)) writer.piece(cleaned)
    else writer.lineEnd()
  }

  /** An answer of the proxy's own, whole. */
  own(status: number, closes: boolean, more: { location?: string; body?: string }): void {
    this.closesAfter = this.#isLast || closes
    const { requestId } = this.#hop
    const facts = { closes: this.closesAfter, requestId, via: responseVia, ...more }
    stageBytes(this.#outbox, ownResponse(status, facts))
  }
}
