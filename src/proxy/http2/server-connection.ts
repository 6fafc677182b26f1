import type { HeadWriter } from '../http1/head-writer.ts'
import type { Memory, MemoryPool } from '../net/memory.ts'
import type { ConnectionUser } from './connection-user.ts'
import { Code, Flag, readUint31, Type, WINDOW_MAX } from './frame.ts'
import { FrameReader, type FrameSink } from './frame-reader.ts'
import type { FrameWriter } from './frame-writer.ts'
import { HeadBlock } from './head-block.ts'
import { HpackDecoder } from './hpack-decoder.ts'
import { HpackEncoder } from './hpack-encoder.ts'
import { type Abuse, PeerBudget } from './peer-budget.ts'
import { ReceiveWindow } from './receive-window.ts'
import { MALFORMED, RequestLines, TOO_LARGE } from './request-lines.ts'
import { SendWindow } from './send-window.ts'
import type { ServerStream } from './server-stream.ts'
import { applySettings, writeSettings } from './settings.ts'

/** One for all of the process: what is in it holds during a call. */
const requestLines = new RequestLines()

/** The server's side of one HTTP/2 connection (RFC 9113): frames in, frames out, no I/O. */
export class ServerConnection implements FrameSink {
  readonly #user: ConnectionUser
  readonly #out: FrameWriter
  readonly #streamsMax: number
  readonly #reader: FrameReader
  readonly #block: HeadBlock
  readonly #decoder = new HpackDecoder()
  readonly encoder = new HpackEncoder()
  readonly streams = new Map<number, ServerStream>()
  readonly #receive: ReceiveWindow
  readonly #send: SendWindow
  readonly #budget = new PeerBudget((code) => this.#abused(code))
  #lastId = 0
  #hasSettings = false
  /** Streams above are not served: they came after the last GOAWAY. */
  #servedMax: number = WINDOW_MAX
  /** The peer has said that it goes. */
  hasPeerGone = false
  /** Nothing more is read. */
  isOver = false
  // the DATA frame under way
  #dataStream: ServerStream | undefined
  #dataFlags = 0
  #dataLength = 0

  constructor(user: ConnectionUser, out: FrameWriter, pool: MemoryPool, streamsMax: number) {
    this.#user = user
    this.#out = out
    this.#streamsMax = streamsMax
    this.#reader = new FrameReader(this, pool)
    this.#block = new HeadBlock(pool)
    this.#receive = new ReceiveWindow(out)
    this.#send = new SendWindow(out)
    writeSettings(out, streamsMax)
    this.#receive.open()
  }

  /** A head, or another frame but DATA, was begun and is not whole. */
  get isWithinHead(): boolean {
    return this.#reader.isWithinFrame || this.#block.stream !== 0
  }

  /** memory[start, end) came. HOT. */
  receive(memory: Memory, start: number, end: number, nowMs: number): void {
    this.#budget.nowMs = nowMs
    this.#reader.read(memory, start, end)
  }

  // ---- frames

  frame(
    type: number,
    flags: number,
    id: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (!this.#hasSettings && type !== Type.settings) this.broken(Code.protocolError)
    else if (this.#block.stream !== 0 && (type !== Type.continuation || id !== this.#block.stream))
      this.broken(Code.protocolError)
    else
      switch (type) {
        case Type.headers:
          this.#headers(flags, id, bytes, start, end)
          break
        case Type.continuation:
          this.#continuation(flags, bytes, start, end)
          break
        case Type.rstStream:
          this.#rstStream(id, end - start)
          break
        case Type.settings:
          this.#settings(flags, id, bytes, start, end)
          break
        case Type.ping:
          this.#ping(flags, id, bytes, start, end)
          break
        case Type.windowUpdate:
          this.#windowUpdate(id, bytes, start, end)
          break
        case Type.goAway:
          if (id !== 0) this.broken(Code.protocolError)
          this.hasPeerGone = true
          break
        case Type.pushPromise:
          this.broken(Code.protocolError)
          break
        case Type.priority:
          if (id === 0) this.broken(Code.protocolError)
          else if (end - start !== 5) this.#refuse(id, Code.frameSizeError)
          else this.#budget.extraFrame()
          break // what it asks for nobody has to do (RFC 9113, section 5.3.2)
        default:
          this.#budget.extraFrame() // of other types nothing is to be made (section 5.5)
      }
  }

  #headers(flags: number, id: number, bytes: Uint8Array, start: number, end: number): void {
    let from = start
    let to = end
    if ((flags & Flag.padded) !== 0) {
      to -= from < end ? (bytes[from] as number) : 0
      from += 1
    }
    if ((flags & Flag.priority) !== 0) from += 5
    if (from > to || id % 2 === 0) {
      this.broken(Code.protocolError)
      return
    }
    const endsStream = (flags & Flag.endStream) !== 0
    if ((flags & Flag.endHeaders) !== 0) {
      this.#fields(id, endsStream, bytes, from, to)
      return
    }
    this.#block.begin(id, endsStream)
    if (!this.#block.add(bytes, from, to)) this.broken(Code.enhanceYourCalm)
  }

  #continuation(flags: number, bytes: Uint8Array, start: number, end: number): void {
    const block = this.#block
    if (block.stream === 0) this.broken(Code.protocolError)
    else if (!block.add(bytes, start, end)) this.broken(Code.enhanceYourCalm)
    else if ((flags & Flag.endHeaders) !== 0) {
      this.#fields(block.stream, block.endsStream, block.bytes, 0, block.length)
      block.end()
    }
  }

  /** A whole block. It is read whatever becomes of it: the next one refers to it. */
  #fields(id: number, endsStream: boolean, bytes: Uint8Array, start: number, end: number): void {
    const stream = this.streams.get(id)
    const isNew = id > this.#lastId
    if (isNew) requestLines.begin()
    else requestLines.beginTrailer()
    if (!this.#decoder.decode(bytes, start, end, requestLines)) {
      this.broken(Code.compressionError)
      return
    }
    if (isNew) this.#request(id, endsStream)
    else if (stream === undefined)
      this.#budget.idleFrame() // it was reset a moment ago
    else if (stream.hasPeerEnded) this.#refuse(id, Code.streamClosed)
    else if (!endsStream || requestLines.result !== 0) this.#refuse(id, Code.protocolError)
    else this.#requestEnded(stream, true)
  }

  #request(id: number, endsStream: boolean): void {
    this.#lastId = id
    this.#budget.streamBegan()
    if (id > this.#servedMax) return
    requestLines.end(!endsStream, this.#user.webSocketKey)
    if (requestLines.result === MALFORMED) this.#refuse(id, Code.protocolError)
    else if (requestLines.result === TOO_LARGE) this.#refuse(id, Code.enhanceYourCalm)
    else if (this.streams.size >= this.#streamsMax) this.#refuse(id, Code.refusedStream)
    else {
      const stream = this.#user.takeStream()
      stream.open(id, this.#send.initial, this.#receive.initial, endsStream)
      this.streams.set(id, stream)
      stream.begin(requestLines)
    }
  }

  #requestEnded(stream: ServerStream, hasTrailer: boolean): void {
    if (stream.bodyLeft > 0) {
      this.#refuse(stream.id, Code.protocolError)
      return
    }
    stream.hasPeerEnded = true
    stream.requestEnded(hasTrailer ? requestLines.endTrailer() : undefined)
    if (stream.isOpen && stream.hasEnded) this.#close(stream)
  }

  #rstStream(id: number, length: number): void {
    if (id === 0 || id > this.#lastId) this.broken(Code.protocolError)
    else if (length !== 4) this.broken(Code.frameSizeError)
    else {
      const stream = this.streams.get(id)
      if (stream === undefined) return
      this.#close(stream)
      this.#budget.reset()
    }
  }

  #settings(flags: number, id: number, bytes: Uint8Array, start: number, end: number): void {
    const isAck = (flags & Flag.ack) !== 0
    const length = end - start
    if (id !== 0) this.broken(Code.protocolError)
    else if (isAck ? length !== 0 : length % 6 !== 0) this.broken(Code.frameSizeError)
    else if (!isAck && this.#budget.idleFrame()) {
      this.#hasSettings = true
      const code = applySettings(bytes, start, end, this.encoder, this.#send, this.streams)
      if (code !== Code.noError) this.broken(code)
      else this.#out.frame(Type.settings, Flag.ack, 0, bytes, start, start)
    }
  }

  #ping(flags: number, id: number, bytes: Uint8Array, start: number, end: number): void {
    if (id !== 0) this.broken(Code.protocolError)
    else if (end - start !== 8) this.broken(Code.frameSizeError)
    else if ((flags & Flag.ack) === 0 && this.#budget.idleFrame())
      this.#out.frame(Type.ping, Flag.ack, 0, bytes, start, end)
  }

  #windowUpdate(id: number, bytes: Uint8Array, start: number, end: number): void {
    if (end - start !== 4) {
      this.broken(Code.frameSizeError)
      return
    }
    if (!this.#budget.extraFrame()) return
    const more = readUint31(bytes, start)
    if (id === 0) {
      if (more === 0) this.broken(Code.protocolError)
      else if (!this.#send.grow(more)) this.broken(Code.flowControlError)
      return
    }
    if (id > this.#lastId) {
      this.broken(Code.protocolError)
      return
    }
    const stream = this.streams.get(id)
    if (stream === undefined) return
    if (more === 0) this.#refuse(id, Code.protocolError)
    else if (!this.#send.growStream(stream, more)) this.#refuse(id, Code.flowControlError)
  }

  // ---- DATA

  dataBegins(flags: number, id: number, length: number): void {
    this.#dataStream = undefined
    this.#dataFlags = flags
    this.#dataLength = length
    if (!this.#hasSettings || this.#block.stream !== 0 || id === 0 || id > this.#lastId) {
      this.broken(Code.protocolError)
      return
    }
    if (!this.#receive.take(length)) {
      this.broken(Code.flowControlError)
      return
    }
    const stream = this.streams.get(id)
    if (stream === undefined) this.#budget.idleFrame()
    else if (stream.hasPeerEnded) this.#refuse(id, Code.streamClosed)
    else if (length > stream.receiveWindow) this.#refuse(id, Code.flowControlError)
    else {
      if (length === 0 && (flags & Flag.endStream) === 0) this.#budget.idleFrame()
      stream.receiveWindow -= length
      this.#dataStream = stream
    }
  }

  dataPiece(memory: Memory, start: number, length: number): void {
    const stream = this.#dataStream
    if (stream?.isOpen !== true) return
    this.#dataLength -= length // `returned` gives this part back
    if (stream.bodyLeft >= 0) {
      if (length > stream.bodyLeft) {
        this.#receive.give(length)
        this.#refuse(stream.id, Code.protocolError)
        return
      }
      stream.bodyLeft -= length
    }
    stream.requestData(memory, start, length)
  }

  dataEnds(): void {
    const stream = this.#dataStream
    this.#dataStream = undefined
    // Padding, and what nobody wants any more.
    if (stream?.isOpen === true) this.returned(stream, this.#dataLength)
    else this.#receive.give(this.#dataLength)
    if (stream?.isOpen === true && (this.#dataFlags & Flag.endStream) !== 0)
      this.#requestEnded(stream, false)
  }

  /** So much of a request's body was handed on: the peer may send as much again. */
  returned(stream: ServerStream, length: number): void {
    this.#receive.give(length)
    if (stream.isOpen) this.#receive.giveStream(stream, length)
  }

  // ---- the response

  /** A head, or a trailer section. HOT. */
  fields(stream: ServerStream, endStream: boolean, write: (out: HeadWriter) => void): void {
    if (!stream.isOpen) return
    this.#out.headers(stream.id, endStream, write)
    if (endStream) this.#ended(stream)
  }

  /** bytes[start, start + length) of the body. HOT. @returns how many of them were taken; the windows forbid more */
  data(stream: ServerStream, bytes: Uint8Array, start: number, length: number): number {
    if (!stream.isOpen) return length
    const taken = this.#send.data(stream, bytes, start, length)
    this.#budget.sent(taken, length)
    return taken
  }

  endData(stream: ServerStream): void {
    if (!stream.isOpen) return
    this.#out.endStream(stream.id)
    this.#ended(stream)
  }

  #ended(stream: ServerStream): void {
    stream.hasEnded = true
    if (stream.hasPeerEnded) this.#close(stream)
  }

  /** Ends a stream before its end; with noError behind a whole response: the rest of the request is not wanted. */
  reset(stream: ServerStream, code: Code): void {
    if (!stream.isOpen) return
    this.#out.short(Type.rstStream, 0, stream.id, code)
    this.#close(stream)
  }

  /** Streams that waited for windows go on, where there is room by now. Not while what came is being read. */
  serveBlocked(): void {
    this.#send.serveBlocked()
  }

  #close(stream: ServerStream): void {
    this.streams.delete(stream.id)
    this.#send.forget(stream)
    stream.isOpen = false
    stream.closed()
    this.#user.closedStream(stream)
  }

  // ---- ends

  /** The peer's fault: its stream ends. */
  #refuse(id: number, code: Code): void {
    this.#out.short(Type.rstStream, 0, id, code)
    const stream = this.streams.get(id)
    if (stream !== undefined) this.#close(stream)
    this.#budget.reset()
  }

  #abused(code: Abuse): void {
    if (this.isOver) return
    this.isOver = true
    this.#user.abused(code)
  }

  get isLeaving(): boolean {
    return this.#servedMax !== WINDOW_MAX
  }

  /** Announces the end: streams that begin from now on are still served. */
  announceEnd(): void {
    if (this.#servedMax === WINDOW_MAX) this.#out.short(Type.goAway, 0, 0, WINDOW_MAX, Code.noError)
  }

  /** Streams that begin from now on are not served: the peer can begin them elsewhere. */
  refuseNew(): void {
    if (this.#servedMax !== WINDOW_MAX || this.isOver) return
    this.#servedMax = this.#lastId
    this.#out.short(Type.goAway, 0, 0, this.#lastId, Code.noError)
  }

  /** The connection is of no use any more. */
  broken(code: Code): void {
    if (this.isOver) return
    this.isOver = true
    this.#out.short(Type.goAway, 0, 0, this.#lastId, code)
  }

  /** All streams end, and memory is given back. */
  dispose(): void {
    this.isOver = true
    for (const stream of [...this.streams.values()]) this.#close(stream)
    this.#reader.dispose()
    this.#block.end()
  }
}
