// HOT: every byte between two hosts goes through here; bench/backhaul.ts has its cost.
import assert from 'node:assert/strict'
import {
  encodeFrame,
  Frame,
  FrameKind,
  FrameReader,
  HEARS_LEAVING,
  malformed,
  PROTOCOL_VERSION,
  REUSABLE,
} from './frame.ts'
import { LinkStream, ResetReason, type StreamHandlers, WINDOW_BYTES } from './link-stream.ts'
import { decodeOpen, encodeOpen, type OpenFacts } from './open-facts.ts'

export interface LinkHandlers {
  /** There is something to `pull`. */
  writable(): void
  /** The peer said who it is. */
  hello(hostId: string): void
  /** A stream was opened by the peer: answer with `accept` or `refuse`. */
  opened(id: number, facts: OpenFacts): StreamHandlers
  /** A round trip, in microseconds. */
  measured(rttUs: number): void
  /** The peer will open no more: dial another link for new streams. */
  goingAway(): void
  /** The peer is about to stop this machine of its own: who has a WebSocket to it may say goodbye. */
  leaving(machine: string): void
}

/** A ping goes out when nothing came for so long. */
export const PING_MS = 200
/** The path is dead when nothing came for so long. */
export const DEAD_MS = 700
/** This process was not running itself: silence proves nothing. */
const STALL_MS = 250
export const STREAMS_MAX = 32_768

/**
 * One link between two proxies, without I/O: bytes in by `receive`, bytes out by `pull`, time by `tick`.
 *
 * Each stream has a window of its own in each direction, and those that have something to send take turns, one
 * frame each: a stream whose reader is slow holds nothing up but itself. Control frames go before data.
 */
export class LinkCore {
  readonly #handlers: LinkHandlers
  readonly #reader = new FrameReader()
  readonly #frame = new Frame()
  readonly #streams = new Map<number, LinkStream>()
  #control: Buffer[] = []
  #round: LinkStream[] = []
  #roundAt = 0
  #nextId: number
  readonly #isOpener: boolean
  #lastOpened = 0
  #hasHello = false
  #hearsLeaving = false
  #isGoingAway = false
  #heardAtMs: number
  #tickedAtMs: number
  #pingAtMs = Number.NEGATIVE_INFINITY
  /** Figures to export. */
  readonly counters = { opened: 0, resets: 0, sentBytes: 0, receivedBytes: 0 }

  /** @param isOpener the side that dialled: it alone opens streams */
  constructor(isOpener: boolean, hostId: string, handlers: LinkHandlers, nowMs: number) {
    this.#handlers = handlers
    this.#isOpener = isOpener
    this.#nextId = 1
    this.#heardAtMs = nowMs
    this.#tickedAtMs = nowMs
    const hello = Buffer.concat([Buffer.of(PROTOCOL_VERSION), Buffer.from(hostId)])
    this.#control.push(encodeFrame(FrameKind.hello, 0, hello.subarray(0, 256), HEARS_LEAVING))
  }

  get streamCount(): number {
    return this.#streams.size
  }

  /** Both sides have said who they are. */
  get isReady(): boolean {
    return this.#hasHello
  }

  get isGoingAway(): boolean {
    return this.#isGoingAway
  }

  /** Opens a stream; data may be sent at once. Undefined: the link takes no more. */
  open(facts: OpenFacts, handlers: StreamHandlers): number | undefined {
    assert(this.#isOpener)
    if (this.#streams.size >= STREAMS_MAX || this.#isGoingAway) return undefined
    const id = this.#nextId
    this.#nextId = id === 0xffff_ffff ? 1 : id + 1
    if (this.#streams.has(id)) return undefined
    this.#streams.set(id, new LinkStream(id, handlers))
    this.counters.opened += 1
    this.#say(encodeFrame(FrameKind.open, id, encodeOpen(facts)))
    return id
  }

  accept(id: number, load: number, connectUs: number): void {
    if (!this.#streams.has(id)) return
    const payload = Buffer.allocUnsafe(8)
    payload.writeUInt32BE(load >>> 0, 0)
    payload.writeUInt32BE(Math.min(0xffff_ffff, Math.max(0, Math.round(connectUs))), 4)
    this.#say(encodeFrame(FrameKind.accepted, id, payload))
  }

  refuse(id: number, code: string, load: number): void {
    if (!this.#streams.delete(id)) return
    const payload = Buffer.alloc(8)
    payload.writeUInt32BE(load >>> 0, 0)
    payload.write(code.slice(0, 4).padEnd(4), 4, 'latin1')
    this.#say(encodeFrame(FrameKind.refused, id, payload))
  }

  /**
   * Queues bytes, which belong to the link from now on. @returns false when the stream holds a window of bytes
   * already: wait for `drained`
   */
  send(id: number, chunk: Buffer): boolean {
    const stream = this.#streams.get(id)
    if (stream === undefined || stream.wantsEnd) return true // nobody is there to read it
    if (chunk.length > 0) stream.queue.push(chunk)
    stream.queuedBytes += chunk.length
    this.#schedule(stream)
    if (stream.queuedBytes < WINDOW_BYTES) return true
    stream.wasFull = true
    return false
  }

  /** No more will be sent; after what is queued. */
  end(id: number, isReusable = false): void {
    const stream = this.#streams.get(id)
    if (stream === undefined || stream.wantsEnd) return
    stream.wantsEnd = true
    stream.isReusable = isReusable
    this.#schedule(stream)
  }

  /** Ends both directions at once. The stream's handlers hear nothing more. */
  reset(id: number, reason: ResetReason): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    this.#drop(stream)
    this.#say(encodeFrame(FrameKind.reset, id, Buffer.of(reason)))
  }

  /** The owner has done with so many bytes that it was given: the peer may send as many again. */
  consumed(id: number, bytes: number): void {
    const stream = this.#streams.get(id)
    if (stream === undefined || stream.hasReceivedEnd) return
    stream.consumedBytes += bytes
    if (stream.consumedBytes < WINDOW_BYTES / 2) return
    const payload = Buffer.allocUnsafe(4)
    payload.writeUInt32BE(stream.consumedBytes, 0)
    stream.receiveCredit += stream.consumedBytes
    stream.consumedBytes = 0
    this.#say(encodeFrame(FrameKind.window, id, payload))
  }

  /** No new streams; those that are there go on. */
  goAway(): void {
    this.#isGoingAway = true
    this.#say(encodeFrame(FrameKind.goaway, 0))
  }

  /** A machine of this side is about to be stopped. A peer that does not know the word hears nothing. */
  leaving(machine: string): void {
    if (this.#hearsLeaving) this.#say(encodeFrame(FrameKind.leaving, 0, Buffer.from(machine)))
  }

  /** All streams are about to be ended. A peer of before this was known takes each for a machine that it does not know. */
  leaveStreams(): void {
    if (!this.#hearsLeaving) return
    for (const id of this.#streams.keys()) this.#say(encodeFrame(FrameKind.leaving, id))
  }

  /** Bytes from the peer. @throws BackhaulError backhaul.malformed: close the link */
  receive(chunk: Buffer, nowMs: number): void {
    this.#heardAtMs = nowMs
    this.counters.receivedBytes += chunk.length
    this.#reader.push(chunk)
    const frame = this.#frame
    while (this.#reader.next(frame)) this.#handle(frame, nowMs)
  }

  /** Up to about `bytesMax` bytes to send now, in order. */
  pull(bytesMax: number): Buffer[] {
    const out = this.#control
    this.#control = []
    let bytes = 0
    for (const chunk of out) bytes += chunk.length
    while (bytes < bytesMax && this.#roundAt < this.#round.length) {
      const stream = this.#round[this.#roundAt] as LinkStream
      this.#roundAt += 1
      stream.isScheduled = false
      if (!stream.canSend || this.#streams.get(stream.id) !== stream) continue
      bytes += stream.takeFrame(out)
      if (stream.hasSentEnd && stream.hasReceivedEnd) this.#drop(stream)
      if (stream.canSend) this.#schedule(stream)
    }
    if (this.#roundAt === this.#round.length) {
      this.#round = []
      this.#roundAt = 0
    } else if (this.#roundAt > 1_024) {
      this.#round = this.#round.slice(this.#roundAt)
      this.#roundAt = 0
    }
    this.counters.sentBytes += bytes
    return out
  }

  get hasOutput(): boolean {
    return this.#control.length > 0 || this.#roundAt < this.#round.length
  }

  /** Call it every PING_MS or so. @returns true: the path is dead, close the link */
  tick(nowMs: number): boolean {
    const wasStalled = nowMs - this.#tickedAtMs > STALL_MS
    this.#tickedAtMs = nowMs
    if (wasStalled) this.#heardAtMs = Math.max(this.#heardAtMs, nowMs - PING_MS)
    const silentMs = nowMs - this.#heardAtMs
    if (silentMs >= DEAD_MS) return true
    if (silentMs >= PING_MS || nowMs - this.#pingAtMs >= MEASURE_MS) this.#ping(nowMs)
    return false
  }

  /** The link is gone: every stream ends. */
  down(): void {
    for (const stream of [...this.#streams.values()]) {
      this.#drop(stream)
      stream.handlers.reset(ResetReason.linkDown)
    }
  }

  #ping(nowMs: number): void {
    this.#pingAtMs = nowMs
    const payload = Buffer.allocUnsafe(8)
    payload.writeDoubleBE(nowMs, 0)
    this.#say(encodeFrame(FrameKind.ping, 0, payload))
  }

  #say(frame: Buffer): void {
    this.#control.push(frame)
    this.#handlers.writable()
  }

  #schedule(stream: LinkStream): void {
    if (stream.isScheduled || !stream.canSend) return
    stream.isScheduled = true
    this.#round.push(stream)
    this.#handlers.writable()
  }

  #drop(stream: LinkStream): void {
    this.#streams.delete(stream.id)
    stream.clear()
  }

  #handle(frame: Frame, nowMs: number): void {
    const { kind, stream: id, payload } = frame
    if (!this.#hasHello) this.#handleHello(frame)
    else if (kind === FrameKind.data) this.#handleData(id, payload)
    else if (kind === FrameKind.open) this.#handleOpen(id, payload)
    else if (kind === FrameKind.window) this.#handleWindow(id, payload)
    else if (kind === FrameKind.end) this.#handleEnd(id, (frame.flags & REUSABLE) !== 0)
    else if (kind === FrameKind.accepted || kind === FrameKind.refused) this.#handleAnswer(frame)
    else if (kind === FrameKind.reset) this.#handleReset(id, payload)
    else if (kind === FrameKind.ping) this.#handlePing(payload)
    else if (kind === FrameKind.pong) this.#handlePong(payload, nowMs)
    else if (kind === FrameKind.goaway) {
      this.#isGoingAway = true
      this.#handlers.goingAway()
    } else if (kind === FrameKind.leaving && this.#isOpener) {
      if (id === 0) this.#handlers.leaving(payload.toString('utf8'))
      else this.#streams.get(id)?.handlers.leaving?.()
    } else throw malformed('kind', kind)
  }

  #handleHello({ kind, flags, payload }: Frame): void {
    if (kind !== FrameKind.hello || payload.length < 2) throw malformed('hello', kind)
    if (payload[0] !== PROTOCOL_VERSION) throw malformed('version', payload[0])
    this.#hasHello = true
    this.#hearsLeaving = (flags & HEARS_LEAVING) !== 0
    this.#handlers.hello(payload.toString('utf8', 1))
  }

  #handleOpen(id: number, payload: Buffer): void {
    if (this.#isOpener || id <= this.#lastOpened) throw malformed('open', id)
    const facts = decodeOpen(payload)
    this.#lastOpened = id === 0xffff_ffff ? 0 : id
    const stream = new LinkStream(id, NOBODY)
    this.#streams.set(id, stream)
    this.counters.opened += 1
    if (this.#streams.size > STREAMS_MAX) this.refuse(id, 'FULL', 0)
    else stream.handlers = this.#handlers.opened(id, facts)
  }

  #handleData(id: number, payload: Buffer): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) return // refused or reset while these bytes were on their way
    if (stream.hasReceivedEnd || payload.length > stream.receiveCredit) {
      this.reset(id, ResetReason.flowControl)
      stream.handlers.reset(ResetReason.flowControl)
      return
    }
    stream.receiveCredit -= payload.length
    stream.handlers.data(payload)
  }

  #handleWindow(id: number, payload: Buffer): void {
    if (payload.length !== 4) throw malformed('window', payload.length)
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    stream.sendCredit += payload.readUInt32BE(0)
    if (stream.sendCredit > WINDOW_BYTES) throw malformed('window', stream.sendCredit)
    this.#schedule(stream)
  }

  #handleEnd(id: number, isReusable: boolean): void {
    const stream = this.#streams.get(id)
    if (stream === undefined || stream.hasReceivedEnd) return
    stream.hasReceivedEnd = true
    if (stream.hasSentEnd) this.#drop(stream)
    stream.handlers.ended(isReusable)
  }

  #handleAnswer({ kind, stream: id, payload }: Frame): void {
    if (!this.#isOpener || payload.length !== 8) throw malformed('answer', payload.length)
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    const load = payload.readUInt32BE(0)
    if (kind === FrameKind.accepted) {
      stream.handlers.accepted?.(load, payload.readUInt32BE(4))
      return
    }
    this.#drop(stream)
    stream.handlers.refused?.(payload.toString('latin1', 4).trim(), load)
  }

  #handleReset(id: number, payload: Buffer): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    this.counters.resets += 1
    this.#drop(stream)
    const reason = payload[0] ?? ResetReason.broken
    stream.handlers.reset(reason <= ResetReason.linkDown ? (reason as ResetReason) : 0)
  }

  #handlePing(payload: Buffer): void {
    if (payload.length !== 8) throw malformed('ping', payload.length)
    this.#say(encodeFrame(FrameKind.pong, 0, payload))
  }

  #handlePong(payload: Buffer, nowMs: number): void {
    if (payload.length !== 8) throw malformed('pong', payload.length)
    const rttMs = nowMs - payload.readDoubleBE(0)
    if (rttMs >= 0 && rttMs < DEAD_MS * 2) this.#handlers.measured(rttMs * 1_000)
  }
}

/** Round trips are measured so often also while there is traffic. */
const MEASURE_MS = 1_000

const NOBODY: StreamHandlers = {
  data: () => undefined,
  ended: () => undefined,
  reset: () => undefined,
  drained: () => undefined,
}
