import { faultName, faultStatus } from '../http1/fault.ts'
import type { RequestHead } from '../http1/request-head.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import { type Channel, INPUT_MARGIN, input } from '../net/channel.ts'
import { BROKEN, PEER_ENDED, READABLE, type Watcher, WRITABLE } from '../net/event-loop.ts'
import { EAGAIN } from '../net/libc.ts'
import type { Memory } from '../net/memory.ts'
import { Outbox } from '../net/outbox.ts'
import type { ConnectionFacts, Entrance } from '../route.ts'
import type { BackendConnection } from './backend-connection.ts'
import { ClientDeadline } from './client-deadline.ts'
import type { Client } from './client-set.ts'
import type { Downstream } from './downstream.ts'
import type { Engine } from './engine.ts'
import { Exchange } from './exchange.ts'
import { ExchangeRecord } from './exchange-record.ts'
import { requestHop } from './hop.ts'
import { Http1Response } from './http1-response.ts'
import { HttpFacts } from './request-facts.ts'
import { RequestReader, type RequestSink } from './request-reader.ts'
import { Tunnel } from './tunnel.ts'

const READS_PER_TURN = 4
/** RFC 8555, section 8.3. */
const CHALLENGE_PATH = '/.well-known/acme-challenge/'

/** One HTTP/1.1 connection of a client: its requests one after the other, pipelined ones in order. */
export class Http1Client implements Watcher, RequestSink, Downstream, Client {
  readonly #engine: Engine
  readonly #channel: Channel
  readonly #outbox: Outbox
  readonly #entrance: Entrance
  readonly #facts: HttpFacts
  readonly #reader: RequestReader
  readonly #exchange: Exchange
  readonly #response: Http1Response
  readonly #record: ExchangeRecord
  readonly #deadline: ClientDeadline
  readonly address: string
  /** `lingering`: answered for the last time, what still comes is thrown away. */
  #stage: 'serving' | 'lingering' | 'gone' = 'serving'
  #isReadable = true
  #isEnding = false
  /** Its last answer waits for it longer than it may linger. */
  #isSlow = false
  #requests = 0

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
    this.#entrance = entrance
    this.address = facts.clientAddress
    this.#facts = new HttpFacts(entrance, facts, isTls, serverName)
    this.#reader = new RequestReader(engine, this)
    const hop = requestHop(engine.region, facts, isTls, '1.1')
    this.#exchange = new Exchange(engine, this, this.#facts, hop)
    const { requestId } = this.#exchange
    this.#response = new Http1Response(this.#outbox, requestId, entrance.response)
    this.#record = new ExchangeRecord(engine, this.address)
    this.#deadline = new ClientDeadline(engine, entrance)
  }

  // ---- what the socket says

  ready(flags: number): void {
    if (this.#stage === 'gone') return
    if (flags & PEER_ENDED) this.#isEnding = true
    if (flags & (READABLE | PEER_ENDED)) this.#isReadable = true
    if (flags & BROKEN) {
      this.#isReadable = true
      if (this.#reader.state === 'whole') {
        this.#abort() // reset while it waits: nobody is there for the answer
        return
      }
    }
    if (flags & WRITABLE && this.#outbox.isFull) this.#drain()
    this.pump()
  }

  #drain(): void {
    if (this.#outbox.drain()) {
      if (this.#stage === 'lingering') this.#deadline.expectEnd()
      else this.#deadline.expectBytes()
      this.#exchange.responseDrained()
    } else if (this.#outbox.isBroken) this.#abort()
  }

  get #wantsInput(): boolean {
    switch (this.#reader.state) {
      case 'head':
        return !this.#outbox.isFull
      case 'body':
        return this.#exchange.takesRequest
      case 'whole':
        return false
      default:
        return this.#stage === 'lingering'
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
      if (this.#stage === 'lingering') continue
      this.#reader.read(input, INPUT_MARGIN, INPUT_MARGIN + count)
      this.#exchange.requestFlush()
    }
  }

  /** The client ended its direction, or broke, where more was expected. */
  #ended(result: number): void {
    if (result < 0 || this.#stage !== 'lingering') {
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

  headBegun(): void {
    if (this.#requests > 0) this.#deadline.expectHead()
  }

  headRead(head: RequestHead, start: number, end: number): void {
    this.#requests += 1
    this.#exchange.nameRequest()
    const isPersistent =
      head.isPersistent && this.#requests < this.#engine.limits.requestsPerConnectionMax
    this.#response.begin(head, isPersistent)
    this.#record.begin(head)
    this.#deadline.expectBytes()
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
    this.#response.useRules(entrance.response)
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

  bodyRead(memory: Memory, start: number, length: number): void {
    this.#deadline.expectBytes()
    if (length > 0) this.#exchange.requestData(memory, start, length)
  }

  requestRead(trailer: Buffer | undefined): void {
    this.#exchange.requestEnd(trailer)
  }

  unreadable(fault: number): void {
    if (this.#reader.state === 'body') this.#exchange.abort()
    else this.#exchange.nameRequest()
    this.#refuse(faultStatus(fault), faultName(fault))
  }

  unheld(): void {
    this.#engine.counters.fault('memory')
    this.#abort()
  }

  // ---- the response

  get takesResponse(): boolean {
    return !this.#outbox.isFull
  }

  responseHead(head: ResponseHead): void {
    if (head.status < 200) {
      this.#response.informed(head)
      return
    }
    this.#deadline.expectBytes()
    this.#response.head(head, this.#mustClose)
  }

  /** A request that is not whole leaves nothing that could follow it. */
  get #mustClose(): boolean {
    return this.#reader.state === 'body' || this.#engine.isDraining
  }

  responseData(memory: Memory, start: number, length: number): void {
    this.#deadline.expectBytes()
    this.#response.data(memory, start, length)
  }

  responseEnd(trailer: Buffer | undefined): void {
    this.#response.end(trailer)
    this.#answered()
  }

  responseFlush(): void {
    if (this.#stage === 'gone') return
    const before = this.#outbox.sentBytes
    this.#outbox.flush()
    this.#engine.counters.bytesOut += this.#outbox.sentBytes - before
    if (this.#outbox.isBroken) this.#abort()
  }

  /** The response is told in full: count it, then the next request or the end. */
  #answered(): void {
    this.#recorded()
    if (this.#response.closesAfter) {
      this.#linger()
      return
    }
    this.#deadline.expectRequest()
    this.#reader.next()
    this.#exchange.requestFlush()
    if (this.#isReadable && this.#reader.state === 'head') this.#engine.loop.again(this)
  }

  #recorded(): void {
    this.#record.end(this.#exchange, this.#facts.entrance.app)
  }

  upgraded(backend: BackendConnection, extra: Buffer, isWebSocket: boolean): void {
    const held = this.#reader.takeHeld()
    this.#recorded()
    this.#stage = 'gone'
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
    this.#ownAnswer(status, code, location === undefined ? {} : { location })
  }

  broken(): void {
    this.#outbox.flush()
    this.#recorded()
    // An abort, not an end: a client must not take half a body for the whole.
    this.#closeNow(true)
  }

  requestDrained(): void {
    if (this.#reader.state === 'body' && this.#isReadable) this.#engine.loop.again(this)
  }

  // ---- answers of our own

  /** A request that is no good, or cannot be held: the connection ends after the answer. */
  #refuse(status: number, fault: string): void {
    this.#engine.counters.fault(fault)
    this.#response.endConnection()
    this.#ownAnswer(status, fault)
    this.responseFlush()
  }

  #ownAnswer(status: number, code: string, more: { location?: string; body?: string } = {}): void {
    this.#record.code = code
    this.#response.own(status, this.#mustClose, more)
    this.#exchange.status = status
    this.#answered()
  }

  // ---- ends

  /** Everything was said: end our direction, and wait a little for the client's. */
  #linger(): void {
    this.#stage = 'lingering'
    this.#reader.stop()
    this.#outbox.end()
    this.#deadline.expectEnd()
    if (this.#isReadable) this.#engine.loop.again(this)
  }

  /** The client has not ended its side. What it was sent still reaches it, at its own pace: an abort would take it back. */
  #lingered(): void {
    if (!this.#outbox.isFull) this.#closeNow(false)
    else if (this.#isSlow) this.#abort()
    else {
      this.#isSlow = true
      this.#deadline.expectBytes()
    }
  }

  sweep(nowMs: number): void {
    if (this.#stage === 'gone') return
    if (this.#exchange.connectingMs(nowMs) > this.#engine.limits.connectMs) {
      this.#exchange.connectTimedOut()
      return
    }
    const isComing = this.#reader.state === 'body' && this.#exchange.takesRequest
    if (isComing && this.#reader.isTooSlow(nowMs)) {
      this.#exchange.abort('timed-out')
      this.#refuse(408, 'body-slow')
      return
    }
    if (!this.#deadline.isPast(nowMs)) return
    if (this.#stage === 'lingering') this.#lingered()
    else if (this.#reader.state === 'head' && this.#reader.holds) {
      this.#exchange.nameRequest()
      this.#refuse(408, 'head-slow')
    } else if (this.#exchange.isActive && !this.#outbox.isFull) this.#exchange.timedOut()
    else this.#abort()
  }

  drain(): void {
    // One that has not asked yet was accepted a moment ago: it still gets its first answer.
    if (this.#reader.state !== 'head' || this.#requests === 0) return
    this.#isReadable = true
    this.pump() // a request may be there already
    if (this.#engine.keepsIdle) return
    if (this.#reader.state === 'head' && !this.#reader.holds) this.#closeNow(false)
  }

  close(): void {
    this.#exchange.abort()
    this.#closeNow(false)
  }

  #closeNow(isAbort: boolean): void {
    if (this.#stage === 'gone') return
    this.#stage = 'gone'
    this.#reader.stop()
    this.#outbox.dispose()
    this.#channel.close(this.#engine.loop, isAbort)
    this.#engine.clients.remove(this)
  }
}
