import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from 'node:http2'
import { ChunkedDecoder } from '../http1/chunked.ts'
import type { Channel } from '../net/channel.ts'
import {
  BROKEN,
  type EventLoop,
  LEAVING,
  PEER_ENDED,
  READABLE,
  type Watcher,
  WRITABLE,
} from '../net/event-loop.ts'
import { EAGAIN, ECONNRESET } from '../net/libc.ts'
import type { Memory } from '../net/memory.ts'
import { ReceivedChunks } from '../net/received-chunks.ts'
import {
  chunkOf,
  lastChunk,
  readHead,
  responseText,
  webSocketAnswer,
  webSocketHeaders,
} from './h2c-head.ts'

/** More than this of a response does not wait here: the stream's window does the rest. */
const WAITING_BYTES_MAX = 256 << 10

/**
 * One HTTP/2 stream to a machine that looks like an HTTP/1.1 connection: what is sent is read as a request, and the
 * response is written as one of HTTP/1.1. So an exchange knows one protocol only. It serves one exchange.
 */
export class H2cChannel implements Channel {
  readonly #loop: EventLoop
  #session: ClientHttp2Session | undefined
  #stream: ClientHttp2Stream | undefined
  #watcher: Watcher | undefined
  #released: (() => void) | undefined
  #isHead = false
  // the request
  #head = ''
  #left = 0
  #decoder: ChunkedDecoder | undefined
  #trailers: Record<string, string> = {}
  #hasEndedRequest = false
  #webSocketKey: string | undefined
  #isFull = false
  // the response
  readonly #received = new ReceivedChunks()
  #isChunked = false
  #responseTrailers: IncomingHttpHeaders | undefined
  hasMore = false

  constructor(loop: EventLoop) {
    this.#loop = loop
  }

  /** Before anything is sent. */
  begin(session: ClientHttp2Session, released: () => void): void {
    this.#session = session
    this.#released = released
  }

  // ---- the request

  send(memory: Memory, offset: number, length: number): number {
    if (this.#received.isBroken || this.#session === undefined) return ECONNRESET
    if (this.#isFull) return EAGAIN
    this.#loop.letNodeRun()
    const bytes = Buffer.from(memory.bytes.subarray(offset, offset + length)) // the stream's for good
    if (this.#stream !== undefined) {
      this.#body(bytes)
      return length
    }
    this.#head += bytes.toString('latin1')
    const end = this.#head.indexOf('\r\n\r\n')
    if (end < 0) return length
    const rest = Buffer.from(this.#head.slice(end + 4), 'latin1')
    const head = readHead(this.#head.slice(0, end))
    this.#head = ''
    this.#left = head.contentLength
    this.#isHead = head.headers[':method'] === 'HEAD'
    this.#decoder = head.isChunked ? new ChunkedDecoder() : undefined
    if (head.webSocketKey !== undefined && this.#session.remoteSettings.enableConnectProtocol) {
      this.#webSocketKey = head.webSocketKey
      this.#open(this.#session, webSocketHeaders(head.headers), true)
      return length
    }
    const hasBody = head.isChunked || head.contentLength > 0
    this.#open(this.#session, head.headers, hasBody)
    if (hasBody && rest.length > 0) this.#body(rest)
    return length
  }

  #open(session: ClientHttp2Session, headers: Record<string, string | string[]>, hasBody: boolean) {
    let stream: ClientHttp2Stream
    try {
      const waitForTrailers = hasBody && this.#webSocketKey === undefined
      stream = session.request(headers, { endStream: !hasBody, waitForTrailers })
    } catch {
      this.#broke() // the session ended in this very moment
      return
    }
    this.#stream = stream
    stream.on('wantTrailers', () => stream.sendTrailers(this.#trailers))
    stream.on('headers', (more) => this.#put(responseText(more, false, false).text))
    stream.on('response', (answer, flags) => this.#answered(answer, flags))
    stream.on('trailers', (trailers) => {
      this.#responseTrailers = trailers
    })
    stream.on('error', () => this.#broke())
    stream.on('close', () => {
      if (!this.#received.hasEnded) this.#broke()
    })
    stream.on('drain', () => {
      this.#isFull = false
      this.#notify(WRITABLE)
    })
  }

  #body(bytes: Buffer): void {
    const stream = this.#stream
    if (stream === undefined || this.#hasEndedRequest) return
    if (this.#webSocketKey !== undefined) {
      this.#isFull = !stream.write(bytes)
      return
    }
    const decoder = this.#decoder
    const length = decoder === undefined ? bytes.length : decoder.decode(bytes, 0, bytes.length)
    if (length > 0) this.#isFull = !stream.write(bytes.subarray(0, length))
    this.#left -= length
    if (decoder === undefined ? this.#left > 0 : !decoder.isDone) return
    this.#hasEndedRequest = true
    for (const line of decoder?.trailer?.toString('latin1').split('\r\n') ?? []) {
      const colon = line.indexOf(':')
      if (colon > 0)
        this.#trailers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim()
    }
    stream.end()
  }

  endWrite(): void {
    this.#hasEndedRequest = true
    this.#stream?.end()
    this.#loop.letNodeRun()
  }

  // ---- the response

  #answered(answer: IncomingHttpHeaders & IncomingHttpStatusHeader, flags: number): void {
    const isWhole = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0
    const key = this.#webSocketKey
    if (key !== undefined && answer[':status'] === 200) this.#put(webSocketAnswer(answer, key))
    else {
      if (key !== undefined) this.endWrite() // it stays a request
      const { text, isChunked } = responseText(answer, isWhole, this.#isHead)
      this.#isChunked = isChunked
      this.#put(text)
    }
    // Not before: Node may tell of data first, where both came at once.
    this.#stream?.on('data', (chunk: Buffer) => this.#came(chunk)).on('end', () => this.#ended())
  }

  #came(chunk: Buffer): void {
    this.#put(this.#isChunked ? chunkOf(chunk) : chunk)
    if (this.#received.bytes > WAITING_BYTES_MAX) this.#stream?.pause()
  }

  #ended(): void {
    this.#received.hasEnded = true
    if (this.#isChunked) this.#put(lastChunk(this.#responseTrailers))
    this.#notify(READABLE | PEER_ENDED)
  }

  #put(bytes: Buffer): void {
    this.#received.push(bytes)
    this.#notify(READABLE)
  }

  #broke(): void {
    this.#received.isBroken = true
    this.#notify(READABLE | BROKEN)
  }

  /** What the session goes through is about to end. */
  leaving(): void {
    this.#notify(LEAVING)
  }

  #notify(flags: number): void {
    if (this.#watcher !== undefined) this.#loop.notify(this.#watcher, flags)
  }

  receive(): number {
    const count = this.#received.receive()
    this.hasMore = count > 0 && this.#received.hasMore
    if (count <= 0) return count
    if (this.#received.bytes === 0 && this.#stream?.isPaused() === true) this.#stream.resume()
    this.#loop.letNodeRun()
    return count
  }

  watchedBy(_loop: EventLoop, watcher: Watcher): void {
    this.#watcher = watcher
  }

  close(): void {
    this.#watcher = undefined
    const stream = this.#stream
    if (
      stream !== undefined &&
      !stream.destroyed &&
      !(this.#received.hasEnded && this.#hasEndedRequest)
    ) {
      stream.close(this.#received.hasEnded ? constants.NGHTTP2_NO_ERROR : constants.NGHTTP2_CANCEL)
    }
    this.#session = undefined
    this.#released?.()
    this.#released = undefined
    this.#loop.letNodeRun()
  }
}
