import { faultName, faultStatus } from '../http1/fault.ts'
import { parseRequestHead, RequestHead } from '../http1/request-head.ts'
import type { ResponseHead } from '../http1/response-head.ts'
import { cleanTrailer } from '../http1/trailer.ts'
import { Code } from '../http2/frame.ts'
import type { RequestLines } from '../http2/request-lines.ts'
import {
  type ResponseNames,
  writeOwnFields,
  writeResponseFields,
  writeTrailerFields,
} from '../http2/response-fields.ts'
import { ServerStream } from '../http2/server-stream.ts'
import type { Memory } from '../net/memory.ts'
import { Outbox } from '../net/outbox.ts'
import type { BackendConnection } from './backend-connection.ts'
import type { Downstream } from './downstream.ts'
import { Exchange } from './exchange.ts'
import { ExchangeRecord } from './exchange-record.ts'
import { HeldBytes } from './held-bytes.ts'
import { responseVia } from './hop.ts'
import { type ChannelStream, Http2Channel } from './http2-channel.ts'
import type { Http2StreamOwner } from './http2-stream-owner.ts'
import { HttpFacts } from './request-facts.ts'
import { Tunnel } from './tunnel.ts'

/** One for all of the process: a parsed head holds only during a turn. */
const requestHead = new RequestHead()

/** One stream of a client's connection: a request, and its response. Reused for later ones of the same connection. */
export class Http2Stream extends ServerStream implements Downstream, ChannelStream {
  readonly #owner: Http2StreamOwner
  readonly #facts: HttpFacts
  readonly #exchange: Exchange
  readonly #record: ExchangeRecord
  readonly #hop: ResponseNames
  /** Of the request: what came while nobody could take it. Never more than the stream's window. */
  readonly #upload: HeldBytes
  /** Of the response: what the client's windows forbid. */
  readonly #download: HeldBytes
  #downloadAt = 0
  /** The response is told in full; its end follows what is held. */
  #isToldInFull = false
  #trailer: Buffer | undefined
  #requestTrailer: Buffer | undefined
  #hasHead = false
  #isWebSocket = false
  #isFed = false
  #isRecorded = false
  #wasUpgraded = false
  #channel: Http2Channel | undefined
  #deadlineMs = 0
  #bodyBytes = 0
  /** Infinity: there is no body that must keep a pace. */
  #bodyStartMs = Number.POSITIVE_INFINITY

  constructor(owner: Http2StreamOwner) {
    super()
    const { engine, entrance, facts, serverName, hop } = owner
    this.#owner = owner
    this.#facts = new HttpFacts(entrance, facts, true, serverName)
    this.#exchange = new Exchange(engine, this, this.#facts, hop)
    this.#record = new ExchangeRecord(engine, facts.clientAddress)
    this.#upload = new HeldBytes(engine.heads)
    this.#download = new HeldBytes(engine.waiting)
    this.#hop = {
      requestId: this.#exchange.requestId,
      rules: entrance.response,
      via: responseVia,
    }
  }

  /** One that was a WebSocket is not: its tunnel may go on for a while. */
  get isReusable(): boolean {
    return !this.#wasUpgraded
  }

  // ---- the request

  begin(lines: RequestLines): void {
    const { engine } = this.#owner
    this.#isToldInFull = false
    this.#trailer = undefined
    this.#requestTrailer = undefined
    this.#hasHead = false
    this.#isWebSocket = lines.isWebSocket
    this.#isRecorded = false
    this.#bodyBytes = 0
    this.#bodyStartMs = Number.POSITIVE_INFINITY
    this.#exchange.nameRequest()
    this.#touch()
    const { bytes, length } = lines
    const end =
      lines.result < 0
        ? lines.result
        : parseRequestHead(bytes, 0, length, requestHead, engine.limits)
    if (end < 0 || end !== length) {
      this.failed(end < 0 ? faultStatus(end) : 400, faultName(end < 0 ? end : -2))
      this.#owner.flush()
      return
    }
    if (this.hasPeerEnded && requestHead.contentLength > 0) {
      this.#owner.connection.reset(this, Code.protocolError)
      return
    }
    this.bodyLeft = requestHead.contentLength
    this.#record.begin(requestHead)
    if (!this.hasPeerEnded && !lines.isWebSocket && !lines.isGrpc)
      this.#bodyStartMs = engine.loop.nowMs
    if (!this.#exchange.begin(requestHead, 0, end)) {
      this.failed(503, 'memory')
      this.#owner.flush()
    } else if (!this.#exchange.isRequestDone) this.#feed()
    else this.#exchange.requestFlush()
  }

  /** It is flushed when all that came was read. */
  #feed(): void {
    if (this.#isFed) return
    this.#isFed = true
    this.#owner.fed(this)
  }

  flushRequest(): void {
    this.#isFed = false
    this.#exchange.requestFlush()
  }

  requestData(memory: Memory, start: number, length: number): void {
    this.#touch()
    this.#bodyBytes += length
    if (this.#channel !== undefined) {
      this.#channel.came(Buffer.from(memory.bytes.subarray(start, start + length)))
      return
    }
    if (!this.#isWebSocket && this.#upload.memory === undefined && this.#exchange.takesRequest) {
      this.#exchange.requestData(memory, start, length)
      this.#owner.connection.returned(this, length)
      this.#feed()
    } else if (!this.#upload.add(memory, start, start + length)) {
      this.#owner.engine.counters.fault('memory')
      this.#owner.connection.returned(this, length)
      this.#owner.connection.reset(this, Code.internalError)
    }
  }

  requestEnded(trailer: Buffer | undefined): void {
    this.#bodyStartMs = Number.POSITIVE_INFINITY
    if (this.#channel !== undefined) this.#channel.peerEnded()
    else {
      this.#requestTrailer = trailer
      if (this.#upload.memory === undefined) this.#endRequest()
    }
  }

  #endRequest(): void {
    if (!this.#exchange.isActive || this.#exchange.isRequestDone || this.#isWebSocket) return
    this.#exchange.requestEnd(this.#requestTrailer)
    this.#feed()
  }

  requestDrained(): void {
    const { memory, end } = this.#upload
    if (memory === undefined || this.#isWebSocket || !this.#exchange.takesRequest) return
    this.#upload.take()
    this.#exchange.requestData(memory, 0, end)
    this.#upload.giveBack(memory)
    this.#owner.connection.returned(this, end)
    if (this.hasPeerEnded) this.#endRequest()
    this.#exchange.requestFlush()
    this.#owner.flush()
  }

  // ---- the response

  get takesResponse(): boolean {
    return this.#download.memory === undefined && this.#owner.takesResponse
  }

  responseHead(head: ResponseHead): void {
    const isUpgrade = head.status === 101
    if (isUpgrade && !this.#isWebSocket) return
    this.#hasHead ||= head.status >= 200 || isUpgrade
    this.#touch()
    const { connection } = this.#owner
    connection.fields(this, false, (out) =>
      writeResponseFields(connection.encoder, out, head, this.#hop, isUpgrade),
    )
  }

  responseData(memory: Memory, start: number, length: number): void {
    this.#touch()
    const taken = this.#download.memory === undefined ? this.#sendNow(memory, start, length) : 0
    if (taken === length || !this.isOpen) return
    if (this.#download.add(memory, start + taken, start + length)) {
      this.#owner.hold(length - taken)
      return
    }
    this.#owner.engine.counters.fault('memory')
    this.#owner.connection.reset(this, Code.internalError)
  }

  #sendNow(memory: Memory, start: number, length: number): number {
    return this.#owner.connection.data(this, memory.bytes, start, length)
  }

  windowOpened(): void {
    if (this.#channel !== undefined) {
      this.#channel.drained()
      return
    }
    const { memory, end } = this.#download
    if (memory === undefined) return
    this.#touch()
    const taken = this.#sendNow(memory, this.#downloadAt, end - this.#downloadAt)
    this.#downloadAt += taken
    this.#owner.hold(-taken)
    if (this.#downloadAt < end) return
    this.#download.give()
    this.#downloadAt = 0
    if (this.#isToldInFull) this.#endResponse()
    else this.#exchange.responseDrained()
  }

  /** The client's connection takes bytes again. */
  drained(): void {
    if (this.#channel !== undefined) this.#channel.drained()
    else if (this.takesResponse) {
      this.#touch()
      this.#exchange.responseDrained()
    }
  }

  responseEnd(trailer: Buffer | undefined): void {
    const cleaned = trailer === undefined ? undefined : cleanTrailer(trailer)
    if (Buffer.isBuffer(cleaned)) this.#trailer = cleaned
    this.#isToldInFull = true
    this.#recorded()
    if (this.#download.memory === undefined) this.#endResponse()
  }

  #endResponse(): void {
    const { connection } = this.#owner
    const trailer = this.#trailer
    if (!this.hasEnded) {
      if (trailer === undefined) connection.endData(this)
      else
        connection.fields(this, true, (out) => writeTrailerFields(connection.encoder, out, trailer))
    }
    // The machine answered before the request was whole: what still comes of it is not wanted.
    if (!this.hasPeerEnded) connection.reset(this, Code.noError)
  }

  responseFlush(): void {
    this.#owner.flush()
  }

  failed(status: number, code: string, location?: string): void {
    this.#exchange.status = status
    this.#record.code = code
    if (code !== '') this.#owner.engine.counters.fault(code)
    this.#recorded()
    if (!this.isOpen) return
    const { connection } = this.#owner
    if (this.#hasHead) {
      connection.reset(this, Code.internalError)
      return
    }
    connection.fields(this, true, (out) =>
      writeOwnFields(connection.encoder, out, status, this.#hop, location),
    )
    if (!this.hasPeerEnded) connection.reset(this, Code.noError)
  }

  broken(): void {
    this.#recorded()
    this.#owner.connection.reset(this, Code.internalError)
    this.#owner.flush()
  }

  // ---- a WebSocket

  /** By extended CONNECT (RFC 8441): 101 became 200, and the stream is the connection. */
  upgraded(backend: BackendConnection, extra: Buffer, isWebSocket: boolean): void {
    this.#recorded()
    this.#wasUpgraded = true
    const { engine, entrance, tunnels } = this.#owner
    const channel = new Http2Channel(engine.loop, this)
    this.#channel = channel
    const { memory, end } = this.#upload
    const early = memory === undefined ? undefined : Buffer.from(memory.bytes.subarray(0, end))
    this.#dropUpload()
    const outbox = new Outbox(channel, engine.clientStage, engine.waiting)
    const tunnel: Tunnel = new Tunnel({
      engine,
      address: this.#owner.address,
      client: { channel, outbox, isEnding: this.hasPeerEnded },
      backend,
      lease: this.#exchange.takeLease(),
      isWebSocket,
      idleMs: entrance.idleTimeoutMs ?? Number.POSITIVE_INFINITY,
      onEnd: () => void tunnels.delete(tunnel),
    })
    tunnels.add(tunnel)
    if (this.hasPeerEnded) channel.peerEnded()
    tunnel.start(early, extra)
  }

  send(memory: Memory, start: number, length: number): number {
    const taken = this.#owner.takesResponse ? this.#sendNow(memory, start, length) : 0
    this.#owner.flush()
    return taken
  }

  endSending(): void {
    this.#owner.connection.endData(this)
    this.#owner.flush()
  }

  read(length: number): void {
    this.#owner.connection.returned(this, length)
    this.#owner.flush()
  }

  leave(isAbort: boolean): void {
    this.#channel = undefined
    this.#owner.connection.reset(this, isAbort ? Code.cancel : Code.noError)
    this.#owner.flush()
  }

  // ---- ends

  #recorded(): void {
    if (this.#isRecorded) return
    this.#isRecorded = true
    this.#record.end(this.#exchange, this.#facts.entrance.app)
  }

  #touch(): void {
    const { engine, entrance } = this.#owner
    this.#deadlineMs = engine.loop.nowMs + (entrance.idleTimeoutMs ?? engine.limits.exchangeIdleMs)
  }

  sweep(nowMs: number): void {
    const { engine, connection } = this.#owner
    if (this.#channel !== undefined) return // the tunnel has its own deadlines
    if (this.#exchange.connectingMs(nowMs) > engine.limits.connectMs)
      this.#exchange.connectTimedOut()
    else if (this.#isTooSlow(nowMs)) {
      this.#bodyStartMs = Number.POSITIVE_INFINITY
      this.#exchange.abort('timed-out')
      this.failed(408, 'body-slow')
    } else if (nowMs > this.#deadlineMs) {
      // The client does not take what waits for it, or what is encoded of it.
      if (!this.#exchange.isActive || !this.takesResponse) connection.reset(this, Code.cancel)
      else this.#exchange.timedOut()
    }
    this.#owner.flush()
  }

  /** As for HTTP/1.1, until there is an answer: from then on both may talk, each at its leisure. */
  #isTooSlow(nowMs: number): boolean {
    const { bodyGraceMs, bodyBytesPerSecondMin } = this.#owner.engine.limits
    const lateMs = nowMs - this.#bodyStartMs - bodyGraceMs
    if (lateMs < 0 || !this.#exchange.takesRequest || this.#hasHead) return false
    return this.#bodyBytes < (lateMs * bodyBytesPerSecondMin) / 1000
  }

  #dropUpload(): void {
    if (this.#upload.memory === undefined) return
    const { end } = this.#upload
    this.#upload.give()
    this.#owner.connection.returned(this, end)
  }

  closed(): void {
    this.#exchange.abort()
    this.#dropUpload()
    if (this.#download.memory !== undefined) {
      this.#owner.hold(this.#downloadAt - this.#download.end)
      this.#download.give()
      this.#downloadAt = 0
    }
    const channel = this.#channel
    this.#channel = undefined
    if (this.hasEnded && this.hasPeerEnded) channel?.detach()
    else channel?.broke()
  }
}
