import { randomBytes } from 'node:crypto'
import {
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import { faultName, faultStatus } from '../http1/fault.ts'
import { latin1 } from '../http1/field-lines.ts'
import { Field } from '../http1/field-name.ts'
import { parseRequestHead, RequestHead } from '../http1/request-head.ts'
import { Framing, type ResponseHead } from '../http1/response-head.ts'
import { cleanTrailer } from '../http1/trailer.ts'
import { SERVER_NAME } from '../http1/write-response.ts'
import { INPUT_BYTES, INPUT_MARGIN, input } from '../net/channel.ts'
import type { Memory } from '../net/memory.ts'
import type { BackendConnection } from './backend-connection.ts'
import type { Downstream } from './downstream.ts'
import { Exchange } from './exchange.ts'
import { PROXY_NAME } from './hop.ts'
import type { Http2Front } from './http2-front.ts'
import { HttpFacts } from './request-facts.ts'
import { StreamTunnel } from './stream-tunnel.ts'

const requestHead = new RequestHead()
/** Response fields that HTTP/2 does not know, or that the proxy says itself. */
const VIA = `1.1 ${PROXY_NAME}`

/**
 * One stream: a request that is written as HTTP/1.1 and read again by the strict parser, so that nothing
 * reaches a machine that an HTTP/1.1 client could not have said (RFC 9113, section 8.2.1).
 */
export class Http2Stream implements Downstream {
  readonly #front: Http2Front
  readonly #stream: ServerHttp2Stream
  readonly #facts: HttpFacts
  readonly #exchange: Exchange
  #trailer: Buffer | undefined
  #requestTrailer: Buffer | undefined
  #isFull = false
  #isUpgrade = false
  #hasEnded = false
  #deadlineMs = 0
  #bodyBytes = 0
  /** Infinity: there is no body that must keep a pace. */
  #bodyStartMs = Number.POSITIVE_INFINITY
  #tunnel: StreamTunnel | undefined

  constructor(front: Http2Front, stream: ServerHttp2Stream) {
    const { engine, entrance, facts, serverName, hop } = front
    this.#front = front
    this.#stream = stream
    this.#facts = new HttpFacts(entrance, facts, true, serverName)
    this.#exchange = new Exchange(engine, this, this.#facts, hop)
  }

  begin(headers: IncomingHttpHeaders): void {
    const stream = this.#stream
    this.#front.opened(this)
    this.#exchange.nameRequest()
    this.#touch()
    stream.once('close', () => this.#closed())
    const hasBody = !stream.endAfterHeaders
    this.#isUpgrade = headers[':method'] === 'CONNECT' && headers[':protocol'] === 'websocket'
    const text = writeAsHttp1(headers, hasBody && !this.#isUpgrade, this.#isUpgrade)
    const bytes = Buffer.from(text, 'latin1')
    const { limits } = this.#front.engine
    const end = parseRequestHead(bytes, 0, bytes.length, requestHead, limits)
    if (end !== bytes.length) {
      this.failed(end < 0 ? faultStatus(end) : 400, end < 0 ? faultName(end) : 'field')
      return
    }
    if (!this.#exchange.begin(requestHead, 0, end)) {
      this.failed(503, 'memory')
      return
    }
    this.#exchange.requestFlush()
    if (!hasBody || this.#isUpgrade) return
    if (!isGrpc(headers)) this.#bodyStartMs = this.#front.engine.loop.nowMs
    this.#readBody()
  }

  #readBody(): void {
    const stream = this.#stream
    stream.on('data', (chunk: Buffer) => {
      this.#touch()
      this.#bodyBytes += chunk.length
      for (let at = 0; at < chunk.length; at += INPUT_BYTES) {
        const piece = chunk.subarray(at, at + INPUT_BYTES)
        input.bytes.set(piece, INPUT_MARGIN)
        this.#exchange.requestData(input, INPUT_MARGIN, piece.length)
      }
      this.#exchange.requestFlush()
      if (!this.#exchange.takesRequest) stream.pause()
    })
    stream.on('trailers', (trailers: IncomingHttpHeaders) => {
      const section = Buffer.from(`${fieldLines(trailers).join('')}\r\n`, 'latin1')
      const cleaned = cleanTrailer(section)
      if (Buffer.isBuffer(cleaned)) this.#requestTrailer = cleaned
    })
    stream.once('end', () => {
      this.#bodyStartMs = Number.POSITIVE_INFINITY
      if (!this.#exchange.isActive) return
      this.#exchange.requestEnd(this.#requestTrailer)
      this.#exchange.requestFlush()
    })
  }

  // ---- the response

  get takesResponse(): boolean {
    return !this.#isFull
  }

  responseHead(head: ResponseHead): void {
    const stream = this.#stream
    if (stream.destroyed || stream.closed) return
    if (head.status === 101) return // `upgraded` answers
    if (head.status < 200) {
      if (head.status !== 100 || !stream.headersSent)
        stream.additionalHeaders({ ...this.#fields(head), ':status': head.status })
      return
    }
    this.#touch()
    const endStream = head.framing === Framing.none
    stream.respond(
      { ...this.#fields(head), ':status': head.status },
      { endStream, waitForTrailers: head.framing === Framing.chunked },
    )
    if (head.framing === Framing.chunked) {
      stream.once('wantTrailers', () => {
        if (this.#trailer === undefined) stream.close()
        else stream.sendTrailers(parseTrailer(this.#trailer))
      })
    }
  }

  #fields(head: ResponseHead): OutgoingHttpHeaders {
    const { rules, isOwn } = {
      rules: this.#front.entrance.response,
      isOwn: !this.#front.entrance.response.pristine && head.status >= 200,
    }
    const fields: Record<string, string | string[]> = {}
    const add = (name: string, value: string) => {
      const before = fields[name]
      fields[name] = before === undefined ? value : [before, value].flat()
    }
    const { lines } = head
    let via = VIA
    for (let line = 0; line < lines.count; line += 1) {
      if (lines.dropped[line] === 1) continue
      const field = lines.fields[line]
      if (isOwn && field === Field.via) via = `${lines.value(line)}, ${via}`
      if (
        isOwn &&
        (field === Field.via || field === Field.server || field === Field['fly-request-id'])
      )
        continue
      const name = latin1(lines.bytes, lines.nameStart(line), lines.nameEnd(line)).toLowerCase()
      if (!rules.headers.has(name)) add(name, lines.value(line))
    }
    for (const [added, value] of head.added) {
      const name = added.toLowerCase()
      if (!rules.headers.has(name)) add(name, value)
    }
    if (isOwn) {
      fields['server'] = SERVER_NAME
      fields['via'] = via
      fields['fly-request-id'] = this.#exchange.requestId.toString('latin1')
    }
    if (head.contentLength >= 0 && head.status >= 200 && head.status !== 204)
      fields['content-length'] = String(head.contentLength)
    for (const [name, values] of head.status >= 200 ? rules.headers : []) {
      if (values !== false) fields[name] = [...values]
    }
    return fields
  }

  responseData(memory: Memory, start: number, length: number): void {
    if (this.#stream.destroyed) return
    this.#touch()
    this.#front.engine.counters.bytesOut += length
    const isTaken = this.#stream.write(Buffer.from(memory.bytes.subarray(start, start + length)))
    if (isTaken || this.#isFull) return
    this.#isFull = true
    this.#stream.once('drain', () => {
      this.#isFull = false
      this.#touch()
      this.#exchange.responseDrained()
    })
  }

  responseEnd(trailer: Buffer | undefined): void {
    this.#hasEnded = true
    const cleaned = trailer === undefined ? undefined : cleanTrailer(trailer)
    if (Buffer.isBuffer(cleaned)) this.#trailer = cleaned
    this.#record()
    if (!this.#stream.destroyed && !this.#stream.writableEnded) this.#stream.end()
    // The machine answered before the request was whole: what still comes of it is not wanted.
    if (!this.#exchange.isRequestDone && !this.#stream.destroyed)
      this.#stream.close(constants.NGHTTP2_NO_ERROR)
  }

  responseFlush(): void {
    this.#front.engine.loop.letNodeRun() // node:http2 sends by itself, then
  }

  failed(status: number, code: string, location?: string): void {
    this.#hasEnded = true
    this.#exchange.status = status
    if (code !== '') this.#front.engine.counters.fault(code)
    this.#record()
    if (this.#stream.destroyed || this.#stream.headersSent) return
    this.#stream.respond(
      {
        ':status': status,
        server: SERVER_NAME,
        via: VIA,
        'content-length': '0',
        'fly-request-id': this.#exchange.requestId.toString('latin1'),
        ...(location === undefined ? {} : { location }),
      },
      { endStream: true },
    )
    if (!this.#stream.readableEnded) this.#stream.resume()
  }

  broken(): void {
    this.#record()
    if (!this.#stream.destroyed) this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR)
  }

  /** WebSocket by extended CONNECT (RFC 8441): 101 becomes 200, and the stream is the connection. */
  upgraded(backend: BackendConnection, extra: Buffer): void {
    this.#record()
    this.#stream.respond({ ':status': 200, via: VIA, server: SERVER_NAME })
    this.#tunnel = new StreamTunnel(
      this.#front.engine,
      this.#stream,
      backend,
      this.#exchange.takeLease(),
    )
    this.#tunnel.start(extra)
  }

  requestDrained(): void {
    if (this.#stream.isPaused()) this.#stream.resume()
  }

  #record(): void {
    const { engine } = this.#front
    const { status, startUs, machine } = this.#exchange
    const elapsedUs = (performance.timeOrigin + performance.now()) * 1000 - startUs
    const { app } = this.#facts.entrance
    engine.counters.response(app, status, elapsedUs)
    engine.counters.machine(machine, app)?.responses.add(status, elapsedUs)
  }

  #touch(): void {
    const { engine, entrance } = this.#front
    this.#deadlineMs = engine.loop.nowMs + (entrance.idleTimeoutMs ?? engine.limits.exchangeIdleMs)
  }

  sweep(nowMs: number): void {
    if (this.#tunnel !== undefined) {
      this.#tunnel.sweep(nowMs)
      return
    }
    if (this.#exchange.connectingMs(nowMs) > this.#front.engine.limits.connectMs)
      this.#exchange.connectTimedOut()
    else if (this.#isTooSlow(nowMs)) {
      this.#bodyStartMs = Number.POSITIVE_INFINITY
      this.#exchange.abort('timed-out')
      this.failed(408, 'body-slow')
      this.#stream.close(constants.NGHTTP2_NO_ERROR)
    } else if (nowMs > this.#deadlineMs) {
      if (this.#exchange.isActive) this.#exchange.timedOut()
      // The machine has said all, and the client does not take what is encoded of it.
      else if (!this.#hasEnded) this.#stream.close(constants.NGHTTP2_CANCEL)
    }
  }

  /** As for HTTP/1.1, until there is an answer: from then on both may talk, each at its leisure. */
  #isTooSlow(nowMs: number): boolean {
    const { bodyGraceMs, bodyBytesPerSecondMin } = this.#front.engine.limits
    const lateMs = nowMs - this.#bodyStartMs - bodyGraceMs
    if (lateMs < 0 || !this.#exchange.takesRequest || this.#stream.headersSent) return false
    return this.#bodyBytes < (lateMs * bodyBytesPerSecondMin) / 1000
  }

  #closed(): void {
    this.#front.closed(this)
    this.#tunnel?.close()
    if (!this.#hasEnded) this.#exchange.abort()
  }
}

/** Its streams carry messages that may be far apart: silence alone ends them. */
const isGrpc = (headers: IncomingHttpHeaders) =>
  headers['content-type']?.startsWith('application/grpc') === true

/** The request as an HTTP/1.1 client would have written it. The strict parser judges it. */
function writeAsHttp1(headers: IncomingHttpHeaders, hasBody: boolean, isUpgrade: boolean): string {
  const method = isUpgrade ? 'GET' : headers[':method']
  const authority = headers[':authority'] ?? headers.host ?? ''
  const lines = [`${method} ${headers[':path'] ?? ''} HTTP/1.1\r\n`, `Host: ${authority}\r\n`]
  lines.push(...fieldLines(headers))
  if (isUpgrade) {
    const key = randomBytes(16).toString('base64')
    lines.push(`Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ${key}\r\n`)
  } else if (hasBody && headers['content-length'] === undefined)
    lines.push('Transfer-Encoding: chunked\r\n')
  return `${lines.join('')}\r\n`
}

/** Fields of this connection, which HTTP/2 forbids (RFC 9113, section 8.2.2), and what stands elsewhere. */
const NOT_COPIED = new Set([
  'host',
  'connection',
  'transfer-encoding',
  'upgrade',
  'keep-alive',
  'proxy-connection',
  'http2-settings',
])

function fieldLines(headers: IncomingHttpHeaders): string[] {
  const lines: string[] = []
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(':') || NOT_COPIED.has(name) || value === undefined) continue
    if (name === 'cookie' && Array.isArray(value)) lines.push(`cookie: ${value.join('; ')}\r\n`)
    else for (const one of [value].flat()) lines.push(`${name}: ${one}\r\n`)
  }
  return lines
}

function parseTrailer(section: Buffer): OutgoingHttpHeaders {
  const fields: Record<string, string> = {}
  for (const line of section.toString('latin1').split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) fields[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim()
  }
  return fields
}
