import { BodyReader } from '../http1/body-reader.ts'
import { Fault, faultName, faultStatus } from '../http1/fault.ts'
import { LF } from '../http1/octets.ts'
import { parseRequestHead, RequestHead } from '../http1/request-head.ts'
import { Framing, type ResponseHead } from '../http1/response-head.ts'
import { cleanTrailer } from '../http1/trailer.ts'
import type { RequestHop } from '../http1/write-request.ts'
import { ownResponse, type ResponseHop, writeResponseHead } from '../http1/write-response.ts'
import { type Channel, INPUT_MARGIN, input } from '../net/channel.ts'
import { BROKEN, PEER_ENDED, READABLE, type Watcher, WRITABLE } from '../net/event-loop.ts'
import { EAGAIN } from '../net/libc.ts'
import type { Memory } from '../net/memory.ts'
import { Outbox } from '../net/outbox.ts'
import type { ConnectionFacts, Entrance } from '../route.ts'
import type { BackendConnection } from './backend-connection.ts'
import type { Client } from './client-set.ts'
import type { Downstream } from './downstream.ts'
import type { Engine } from './engine.ts'
import { Exchange } from './exchange.ts'
import { HeldBytes } from './held-bytes.ts'
import { requestHop, responseVia } from './hop.ts'
import { HttpFacts } from './request-facts.ts'
import { stageBytes, Tunnel } from './tunnel.ts'

/** One for all connections of the process: a parsed head holds only during a turn. */
const requestHead = new RequestHead()
const READS_PER_TURN = 4
/** RFC 8555, section 8.3. */
const CHALLENGE_PATH = '/.well-known/acme-challenge/'

/**
 * `head`: waits for a request. `body`: a request's body is coming. `answer`: the request is here, its
 * response is not. `linger`: answered for the last time, what still comes is thrown away. `gone`.
 */
type State = 'head' | 'body' | 'answer' | 'linger' | 'gone'

/** One HTTP/1.1 connection of a client: its requests one after the other, pipelined ones in order. */
export class Http1Client implements Watcher, Downstream, Client {
  readonly #engine: Engine
  readonly #channel: Channel
  readonly #outbox: Outbox
  readonly #entrance: Entrance
  readonly #facts: HttpFacts
  readonly #exchange: Exchange
  readonly #responseHop: ResponseHop
  readonly address: string
  #state: State = 'head'
  #isReadable = true
  #isEnding = false
  /** What came and was not used yet: part of a head, or pipelined requests. */
  readonly #saved: HeldBytes
  #requests = 0
  #deadlineMs: number
  // of the request under way
  readonly #body = new BodyReader()
  #bodyStartMs = 0
  #bodyBytes = 0
  #isPersistent = true
  #isHttp10 = false
  #takesTrailers = false
  #framing: Framing = Framing.none
  #closesAfter = false
  #code = ''
  #logged: { method: string; host: string; target: string } | undefined

  constructor(
    engine: Engine,
    channel: Channel,
    entrance: Entrance,
    facts: ConnectionFacts,
    serverName: string,
  ) {
    const isTls = entrance.handlers.tls
    this.#engine = engine
    this.#channel = channel
    this.#outbox = new Outbox(channel, engine.clientStage, engine.waiting)
    this.#saved = new HeldBytes(engine.heads)
    this.#entrance = entrance
    this.address = facts.clientAddress
    this.#facts = new HttpFacts(entrance, facts, isTls, serverName)
    const hop: RequestHop = requestHop(engine.region, facts, isTls, '1.1')
    this.#exchange = new Exchange(engine, this, this.#facts, hop)
    this.#responseHop = {
      framing: Framing.none,
      closes: false,
      isHttp10: false,
      requestId: this.#exchange.requestId,
      rules: entrance.response,
      via: responseVia,
    }
    this.#deadlineMs =
      engine.loop.nowMs + (entrance.headersReadTimeoutMs ?? engine.limits.headersReadMs)
  }

  // ---- what the socket says

  ready(flags: number): void {
    if (this.#state === 'gone') return
    if (flags & PEER_ENDED) this.#isEnding = true
    if (flags & (READABLE | PEER_ENDED)) this.#isReadable = true
    if (flags & BROKEN) {
      this.#isReadable = true
      if (this.#state === 'answer') {
        this.#abort() // reset while it waits: nobody is there for the answer
        return
      }
    }
    if (flags & WRITABLE && this.#outbox.isFull) this.#drain()
    this.pump()
  }

  #drain(): void {
    if (this.#outbox.drain()) {
      this.#touch()
      this.#exchange.responseDrained()
    } else if (this.#outbox.isBroken) this.#abort()
  }

  get #wantsInput(): boolean {
    switch (this.#state) {
      case 'head':
        return !this.#outbox.isFull
      case 'body':
        return this.#exchange.takesRequest
      default:
        return this.#state === 'linger'
    }
  }

  /** Reads as long as somebody takes it. */
  pump(): void {
    let reads = 0
    while (this.#isReadable && this.#wantsInput) {
      if (reads === READS_PER_TURN) {
        this.#engine.loop.again(this)
        return
      }
      reads += 1
      const count = this.#channel.receive()
      if (count === EAGAIN) {
        this.#isReadable = false
        return
      }
      if (count <= 0) {
        this.#isReadable = false
        this.#ended(count)
        return
      }
      if (!this.#channel.hasMore && !this.#isEnding) this.#isReadable = false
      this.#engine.counters.bytesIn += count
      this.#received(INPUT_MARGIN, INPUT_MARGIN + count)
    }
  }

  /** The client ended its direction, or broke, where more was expected. */
  #ended(result: number): void {
    if (result < 0 || this.#state !== 'linger') {
      this.#abort()
      return
    }
    this.close()
  }

  #abort(): void {
    this.#exchange.abort()
    this.#closeNow(true)
  }

  // ---- requests

  /** input[start, end) came. */
  #received(start: number, end: number): void {
    if (this.#state === 'linger') return
    if (this.#state === 'head' && this.#saved.memory !== undefined) this.#receivedMore(start, end)
    else this.#consume(input, start, end)
    this.#exchange.requestFlush()
  }

  /** More of a head that began earlier. It is looked at only when a line ended. */
  #receivedMore(start: number, end: number): void {
    const saved = this.#saved
    if (!this.#save(input, start, end)) return
    const { headBytesMax, targetBytesMax } = this.#engine.limits
    const hasLine = input.bytes.subarray(start, end).includes(LF)
    if (!hasLine && saved.end <= Math.min(headBytesMax, targetBytesMax + 64)) return
    this.#consumeSaved()
  }

  #consumeSaved(): void {
    const { end } = this.#saved
    const saved = this.#saved.take()
    if (saved === undefined) return
    this.#consume(saved, 0, end)
    this.#saved.giveBack(saved)
  }

  /** memory[start, end) in the order in which it came: heads, bodies, heads. */
  #consume(memory: Memory, start: number, end: number): void {
    let at = start
    while (at < end) {
      if (this.#state === 'head') {
        const headEnd = parseRequestHead(memory.bytes, at, end, requestHead, this.#engine.limits)
        if (headEnd === 0) {
          if (this.#saved.memory === undefined && this.#requests > 0) this.#expectHead()
          this.#save(memory, at, end)
          return
        }
        if (headEnd < 0) {
          this.#exchange.nameRequest()
          this.#refuse(faultStatus(headEnd), faultName(headEnd))
          return
        }
        this.#begin(at, headEnd)
        at = headEnd
      } else if (this.#state === 'body') {
        at = this.#feed(memory, at, end)
      } else {
        if (this.#state === 'answer') this.#save(memory, at, end)
        return
      }
    }
  }

  #expectHead(): void {
    const { headersReadMs } = this.#engine.limits
    this.#deadlineMs =
      this.#engine.loop.nowMs + (this.#entrance.headersReadTimeoutMs ?? headersReadMs)
  }

  /** Keeps memory[start, end) behind what is saved. @returns false when it could not, and ended. */
  #save(memory: Memory, start: number, end: number): boolean {
    if (this.#saved.add(memory, start, end)) return true
    this.#engine.counters.fault('memory')
    this.#abort()
    return false
  }

  /** A request's head was parsed from memory[start, end). */
  #begin(start: number, end: number): void {
    const head = requestHead
    this.#requests += 1
    this.#exchange.nameRequest()
    this.#isHttp10 = head.isHttp10
    this.#isPersistent =
      head.isPersistent && this.#requests < this.#engine.limits.requestsPerConnectionMax
    this.#takesTrailers = head.takesTrailers
    this.#code = ''
    this.#logged = this.#engine.accessLog?.samples() === true ? loggedFacts(head) : undefined
    if (head.hasBody) {
      this.#state = 'body'
      this.#bodyStartMs = this.#engine.loop.nowMs
      this.#bodyBytes = 0
      this.#body.begin(head.isChunked ? Framing.chunked : Framing.length, head.contentLength)
    } else this.#state = 'answer'
    this.#touch()
    const answer = this.#challengeAnswer(head)
    if (answer !== undefined) {
      this.#ownAnswer(200, '', { body: answer })
      return
    }
    const entrance = this.#nameEntrance(head)
    if (entrance === undefined) {
      this.#refuse(404, 'no-app')
      return
    }
    this.#facts.entrance = entrance
    this.#responseHop.rules = entrance.response
    if (entrance.forceHttps && !this.#entrance.handlers.tls) {
      const location = `https://${head.host}${head.target}`
      this.#ownAnswer(301, '', { location })
      return
    }
    if (!this.#exchange.begin(head, start, end)) this.#refuse(503, 'memory')
  }

  /** The proof that a certificate authority asks for by plain HTTP goes before the app, and before `force_https`. */
  #challengeAnswer({ target, host }: RequestHead): string | undefined {
    if (this.#entrance.handlers.tls || !target.startsWith(CHALLENGE_PATH)) return undefined
    return this.#engine.certificates.httpAnswer?.(host, target.slice(CHALLENGE_PATH.length))
  }

  #nameEntrance(head: RequestHead): Entrance | undefined {
    const entrance = this.#entrance
    return entrance.shared ? this.#engine.router.named(entrance, head.host) : entrance
  }

  /** Body bytes from memory[start, end). @returns where the body's part ends. */
  #feed(memory: Memory, start: number, end: number): number {
    this.#touch()
    const body = this.#body
    const count = body.read(memory.bytes, start, end)
    const trailer =
      count >= 0 && body.isDone && body.trailer !== undefined
        ? cleanTrailer(body.trailer)
        : undefined
    if (count < 0 || typeof trailer === 'number') {
      this.#exchange.abort()
      this.#refuse(400, faultName(count < 0 ? count : Fault.trailer))
      return end
    }
    const { consumed, isDone } = body
    this.#bodyBytes += count
    if (count > 0) this.#exchange.requestData(memory, start, count)
    if (isDone) this.#requestDone(trailer)
    return consumed
  }

  #requestDone(trailer: Buffer | undefined): void {
    if (this.#state === 'body') this.#state = 'answer'
    this.#exchange.requestEnd(trailer)
  }

  // ---- the response

  get takesResponse(): boolean {
    return !this.#outbox.isFull
  }

  responseHead(head: ResponseHead): void {
    if (head.status < 200) {
      if (this.#isHttp10) return // it knows no 1xx
      this.#responseHop.framing = Framing.none
      writeResponseHead(this.#outbox.writer, head, this.#responseHop)
      return
    }
    this.#touch()
    const { framing } = head
    this.#framing =
      framing === Framing.chunked || framing === Framing.close
        ? this.#isHttp10
          ? Framing.close
          : Framing.chunked
        : framing
    this.#closesAfter =
      !this.#isPersistent ||
      this.#framing === Framing.close ||
      this.#state === 'body' ||
      this.#engine.isDraining
    const hop = this.#responseHop
    hop.framing = this.#framing
    hop.closes = this.#closesAfter
    hop.isHttp10 = this.#isHttp10
    writeResponseHead(this.#outbox.writer, head, hop)
  }

  responseData(memory: Memory, start: number, length: number): void {
    this.#touch()
    this.#outbox.data(memory, start, length, this.#framing === Framing.chunked)
  }

  responseEnd(trailer: Buffer | undefined): void {
    if (this.#framing === Framing.chunked) this.#writeLastChunk(trailer)
    this.#answered()
  }

  #writeLastChunk(trailer: Buffer | undefined): void {
    const { writer } = this.#outbox
    writer.text('0\r\n')
    const cleaned = trailer !== undefined && this.#takesTrailers ? cleanTrailer(trailer) : undefined
    if (Buffer.isBuffer(cleaned)) writer.piece(cleaned)
    else writer.lineEnd()
  }

  responseFlush(): void {
    if (this.#state === 'gone') return
    const before = this.#outbox.sentBytes
    this.#outbox.flush()
    this.#engine.counters.bytesOut += this.#outbox.sentBytes - before
    if (this.#outbox.isBroken) this.#abort()
  }

  /** The response is told in full: count it, then the next request or the end. */
  #answered(): void {
    this.#record()
    if (this.#closesAfter) {
      this.#linger()
      return
    }
    this.#state = 'head'
    this.#deadlineMs = this.#engine.loop.nowMs + this.#engine.limits.keepAliveIdleMs
    if (this.#saved.memory !== undefined) {
      this.#consumeSaved()
      this.#exchange.requestFlush()
    }
    if (this.#isReadable && this.#state === 'head') this.#engine.loop.again(this)
  }

  #record(): void {
    const { status, startUs, sentBytes, receivedBytes, machine, requestId } = this.#exchange
    const elapsedUs = (performance.timeOrigin + performance.now()) * 1000 - startUs
    const { counters } = this.#engine
    const { app } = this.#facts.entrance
    counters.response(app, status, elapsedUs)
    counters.machine(machine, app)?.responses.add(status, elapsedUs)
    if (this.#logged === undefined) return
    this.#engine.accessLog?.add({
      time: new Date().toISOString(),
      app: this.#facts.entrance.app,
      client: this.address,
      ...this.#logged,
      status,
      machine,
      code: this.#code,
      requestId: requestId.toString('latin1'),
      elapsedMs: Math.round(elapsedUs / 10) / 100,
      sentBytes,
      receivedBytes,
    })
    this.#logged = undefined
  }

  upgraded(backend: BackendConnection, extra: Buffer, isWebSocket: boolean): void {
    const { memory, end } = this.#saved
    const held = memory === undefined ? undefined : Buffer.from(memory.bytes.subarray(0, end))
    this.#saved.give()
    this.#record()
    this.#state = 'gone'
    const tunnel = new Tunnel({
      engine: this.#engine,
      address: this.address,
      client: { channel: this.#channel, outbox: this.#outbox, isEnding: this.#isEnding },
      backend,
      lease: this.#exchange.takeLease(),
      isWebSocket,
      idleMs: this.#entrance.idleTimeoutMs ?? Number.POSITIVE_INFINITY,
    })
    this.#engine.clients.replace(this, tunnel)
    tunnel.start(held, extra)
  }

  failed(status: number, code: string, location?: string): void {
    this.#code = code
    this.#ownAnswer(status, code, location === undefined ? {} : { location })
  }

  broken(): void {
    this.#outbox.flush()
    this.#record()
    // An abort, not an end: a client must not take half a body for the whole.
    this.#closeNow(true)
  }

  requestDrained(): void {
    if (this.#state === 'body' && this.#isReadable) this.#engine.loop.again(this)
  }

  // ---- answers of our own

  /** A request that is no good, or cannot be held: the connection ends after the answer. */
  #refuse(status: number, fault: string): void {
    this.#engine.counters.fault(fault)
    this.#code = fault
    this.#isPersistent = false
    this.#ownAnswer(status, fault)
    this.responseFlush()
  }

  #ownAnswer(status: number, code: string, more: { location?: string; body?: string } = {}): void {
    this.#code = code
    this.#closesAfter = !this.#isPersistent || this.#state === 'body' || this.#engine.isDraining
    const response = ownResponse(status, {
      closes: this.#closesAfter,
      requestId: this.#exchange.requestId,
      via: responseVia,
      ...more,
    })
    stageBytes(this.#outbox, response)
    this.#exchange.status = status
    this.#answered()
  }

  // ---- ends

  /** Everything was said: end our direction, and wait a little for the client's. */
  #linger(): void {
    this.#state = 'linger'
    this.#outbox.end()
    this.#saved.give()
    this.#deadlineMs = this.#engine.loop.nowMs + this.#engine.limits.lingerMs
    if (this.#isReadable) this.#engine.loop.again(this)
  }

  #touch(): void {
    const { exchangeIdleMs } = this.#engine.limits
    this.#deadlineMs = this.#engine.loop.nowMs + (this.#entrance.idleTimeoutMs ?? exchangeIdleMs)
  }

  sweep(nowMs: number): void {
    if (this.#state === 'gone') return
    if (this.#exchange.connectingMs(nowMs) > this.#engine.limits.connectMs) {
      this.#exchange.connectTimedOut()
      return
    }
    if (this.#state === 'body' && this.#isTooSlow(nowMs)) {
      this.#exchange.abort('timed-out')
      this.#refuse(408, 'body-slow')
      return
    }
    if (nowMs <= this.#deadlineMs) return
    if (this.#state === 'head' && this.#saved.memory !== undefined) {
      this.#exchange.nameRequest()
      this.#refuse(408, 'head-slow')
    } else if (this.#exchange.isActive && !this.#outbox.isFull) this.#exchange.timedOut()
    else this.#abort()
  }

  #isTooSlow(nowMs: number): boolean {
    const { bodyGraceMs, bodyBytesPerSecondMin } = this.#engine.limits
    const elapsedMs = nowMs - this.#bodyStartMs
    if (elapsedMs < bodyGraceMs || !this.#exchange.takesRequest) return false
    return this.#bodyBytes < ((elapsedMs - bodyGraceMs) * bodyBytesPerSecondMin) / 1000
  }

  drain(): void {
    // One that has not asked yet was accepted a moment ago: it still gets its first answer.
    if (this.#state !== 'head' || this.#requests === 0) return
    this.#isReadable = true
    this.pump() // a request may be there already
    if (this.#engine.keepsIdle) return
    if (this.#state === 'head' && this.#saved.memory === undefined) this.#closeNow(false)
  }

  close(): void {
    this.#exchange.abort()
    this.#closeNow(false)
  }

  #closeNow(isAbort: boolean): void {
    if (this.#state === 'gone') return
    this.#state = 'gone'
    this.#saved.give()
    this.#outbox.dispose()
    this.#channel.close(this.#engine.loop, isAbort)
    this.#engine.clients.remove(this)
  }
}

const loggedFacts = (head: RequestHead) => ({
  method: head.method,
  host: head.host,
  target: head.target,
})
