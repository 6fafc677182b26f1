import { randomBytes } from 'node:crypto'
import type { RequestHop } from '../http1/write-request.ts'
import type { ConnectionUser } from '../http2/connection-user.ts'
import { type FrameOutlet, FrameWriter } from '../http2/frame-writer.ts'
import type { Abuse } from '../http2/peer-budget.ts'
import { ServerConnection } from '../http2/server-connection.ts'
import { INPUT_MARGIN, input, type SocketChannel } from '../net/channel.ts'
import { BROKEN, PEER_ENDED, READABLE, type Watcher, WRITABLE } from '../net/event-loop.ts'
import { EAGAIN } from '../net/libc.ts'
import type { Memory } from '../net/memory.ts'
import { Outbox } from '../net/outbox.ts'
import type { ConnectionFacts, Entrance } from '../route.ts'
import type { Client } from './client-set.ts'
import type { Engine } from './engine.ts'
import { requestHop } from './hop.ts'
import { Http2Stream } from './http2-stream.ts'
import type { FedStream, Http2StreamOwner } from './http2-stream-owner.ts'
import type { Tunnel } from './tunnel.ts'

const READS_PER_TURN = 4
/** Between the announcement of the end and the end: what is on its way is still served. */
const NOTICE_MS = 250
/** Of responses that wait for windows, on one connection. */
const HELD_BYTES_MAX = 1 << 20
/** Streams that are kept to be used again, while nothing goes on. */
const IDLE_STREAMS_KEPT = 1

/** `linger`: all was said; what still comes is thrown away until the client ends. */
type State = 'open' | 'linger' | 'gone'

/** One HTTP/2 connection of a client: moves bytes between its socket and the protocol; each stream is an exchange. */
export class Http2Front implements Watcher, Client, FrameOutlet, ConnectionUser, Http2StreamOwner {
  readonly engine: Engine
  readonly facts: ConnectionFacts
  readonly entrance: Entrance
  readonly serverName: string
  readonly hop: RequestHop
  readonly connection: ServerConnection
  readonly #channel: SocketChannel
  readonly #outbox: Outbox
  readonly #out: FrameWriter
  readonly #free: Http2Stream[] = []
  /** Have sent data towards machines since it was flushed last. */
  readonly #fed: FedStream[] = []
  readonly #flusher = { ready: () => this.#flush(), close: () => this.close() }
  #flushIsDue = false
  #state: State = 'open'
  #isReadable = true
  #isEnding = false
  #requests = 0
  /** WebSockets that came over it; one may outlive its stream, until its machine has all. */
  readonly tunnels = new Set<Tunnel>()
  /** Of responses, not yet framed. */
  #heldBytes = 0
  /** Streams that waited because too much is held can go on. */
  #isRelieved = false
  #idleDeadlineMs = 0
  #isAbused = false
  #headDeadlineMs = Number.POSITIVE_INFINITY
  /** When the end was announced. */
  #noticeMs = Number.POSITIVE_INFINITY
  /** Its last answer has waited for it longer than it may linger. */
  #isSlow = false
  #lingerDeadlineMs = Number.POSITIVE_INFINITY

  constructor(
    engine: Engine,
    channel: SocketChannel,
    options: { entrance: Entrance; facts: ConnectionFacts; serverName: string },
  ) {
    this.engine = engine
    this.facts = options.facts
    this.entrance = options.entrance
    this.serverName = options.serverName
    this.hop = requestHop(engine.region, options.facts, true, '2')
    this.#channel = channel
    this.#outbox = new Outbox(channel, engine.clientStage, engine.waiting)
    this.#out = new FrameWriter(this)
    this.connection = new ServerConnection(this, this.#out, engine.heads, engine.limits.streamsMax)
    this.#touch()
    this.flush()
  }

  get address(): string {
    return this.facts.clientAddress
  }

  // ---- what the socket says

  ready(flags: number): void {
    if (this.#state === 'gone') return
    if (flags & PEER_ENDED) this.#isEnding = true
    if (flags & (READABLE | BROKEN | PEER_ENDED)) this.#isReadable = true
    if (flags & WRITABLE && this.#outbox.isFull && this.#outbox.drain()) this.#drained()
    if (this.#outbox.isBroken) this.close()
    else this.#pump()
  }

  /** Reads as long as what is to be answered can be sent. */
  #pump(): void {
    let reads = 0
    while (this.#isReadable && !this.#outbox.isFull && this.#state !== 'gone') {
      if (reads === READS_PER_TURN) {
        this.engine.loop.again(this)
        return
      }
      reads += 1
      const count = this.#channel.receive()
      if (count === EAGAIN) {
        this.#isReadable = false
        return
      }
      if (count <= 0) {
        this.close()
        return
      }
      if (!this.#channel.hasMore && !this.#isEnding) this.#isReadable = false
      this.engine.counters.bytesIn += count
      if (this.#state === 'open') this.#received(count)
    }
  }

  #received(count: number): void {
    const { connection } = this
    connection.receive(input, INPUT_MARGIN, INPUT_MARGIN + count, this.engine.loop.nowMs)
    if (this.#isAbused) {
      this.close()
      return
    }
    for (const stream of this.#fed) stream.flushRequest()
    this.#fed.length = 0
    connection.serveBlocked() // not before: machines' bytes come to where the client's were
    if (!connection.isWithinHead) this.#headDeadlineMs = Number.POSITIVE_INFINITY
    else if (this.#headDeadlineMs === Number.POSITIVE_INFINITY)
      this.#headDeadlineMs =
        this.engine.loop.nowMs +
        (this.entrance.headersReadTimeoutMs ?? this.engine.limits.headersReadMs)
    this.flush()
  }

  /** The stream's machine has bytes in its outbox. */
  fed(stream: FedStream): void {
    this.#fed.push(stream)
  }

  // ---- what is sent

  /** Responses may go on. */
  get takesResponse(): boolean {
    return !this.#outbox.isFull && this.#heldBytes < HELD_BYTES_MAX
  }

  /** So much more (or, below 0, less) of responses waits for windows. */
  hold(bytes: number): void {
    const wasFull = this.#heldBytes >= HELD_BYTES_MAX
    this.#heldBytes += bytes
    if (!wasFull || this.#heldBytes >= HELD_BYTES_MAX) return
    this.#isRelieved = true
    this.flush()
  }

  #drained(): void {
    for (const stream of [...this.connection.streams.values()]) (stream as Http2Stream).drained()
    if (this.#state === 'linger') this.#expectEnd()
  }

  /** What was written goes out when all of this turn was written. HOT. */
  flush(): void {
    if (this.#flushIsDue || this.#state === 'gone') return
    this.#flushIsDue = true
    this.engine.loop.atTurnEnd(this.#flusher)
  }

  #flush(): void {
    this.#flushIsDue = false
    if (this.#state === 'gone') return
    if (this.#isRelieved) {
      this.#isRelieved = false
      this.#drained()
    }
    this.#out.flush()
    if (this.#outbox.isBroken || this.#out.isBroken) {
      if (this.#out.isBroken) this.engine.counters.fault('memory')
      this.close()
    } else if (this.#state === 'open') this.#endWhenDone()
  }

  takeStage(): Memory | undefined {
    return this.engine.frames.take()
  }

  sendStage(memory: Memory, length: number): void {
    const before = this.#outbox.sentBytes
    this.#outbox.send(memory, 0, length)
    this.engine.counters.bytesOut += this.#outbox.sentBytes - before
    this.engine.frames.give(memory)
  }

  // ---- streams

  takeStream(): Http2Stream {
    this.#requests += 1
    return this.#free.pop() ?? new Http2Stream(this)
  }

  closedStream(stream: Http2Stream): void {
    if (stream.isReusable) this.#free.push(stream)
    this.#touch()
    if (this.connection.streams.size === 0) this.flush() // it may have been the last one
  }

  webSocketKey(): string {
    return randomBytes(16).toString('base64')
  }

  abused(code: Abuse): void {
    this.engine.counters.fault(code)
    this.#isAbused = true
  }

  // ---- ends

  #touch(): void {
    this.#idleDeadlineMs = this.engine.loop.nowMs + this.engine.limits.keepAliveIdleMs
  }

  sweep(nowMs: number): void {
    if (this.#state === 'gone') return
    for (const tunnel of [...this.tunnels]) tunnel.sweep(nowMs)
    if (this.#state === 'linger') {
      if (nowMs > this.#lingerDeadlineMs) this.#lingered(nowMs)
      return
    }
    for (const stream of [...this.connection.streams.values()]) (stream as Http2Stream).sweep(nowMs)
    const isIdle = this.connection.streams.size === 0
    if (isIdle && this.#free.length > IDLE_STREAMS_KEPT) this.#free.length = IDLE_STREAMS_KEPT
    const isWornOut = this.#requests >= this.engine.limits.requestsPerConnectionMax
    if (nowMs > this.#headDeadlineMs) {
      this.engine.counters.fault('head-slow')
      this.close()
    } else if ((isIdle && nowMs > this.#idleDeadlineMs) || isWornOut) this.#leave(nowMs)
    else if (this.#noticeMs !== Number.POSITIVE_INFINITY) this.#leave(nowMs)
  }

  /** Two steps: requests that are on their way when the client is told are answered. */
  #leave(nowMs: number): void {
    if (this.#noticeMs === Number.POSITIVE_INFINITY) {
      this.#noticeMs = nowMs
      this.connection.announceEnd()
    } else if (nowMs - this.#noticeMs >= NOTICE_MS) this.connection.refuseNew()
    this.flush()
  }

  /** Nothing more is to come of it: says so, and waits a little for the client's end. */
  #endWhenDone(): void {
    const { connection } = this
    const isDone = connection.streams.size === 0 && (connection.isLeaving || connection.hasPeerGone)
    if (!isDone && !connection.isOver) return
    this.#out.flush()
    this.#isSlow = connection.isOver // it was ended for a fault: no more patience
    connection.dispose()
    this.#state = 'linger'
    this.#outbox.end()
    this.#expectEnd()
    if (this.#isReadable) this.engine.loop.again(this)
  }

  /** The client has not ended its side. What it was sent still reaches it, at its own pace. */
  #lingered(nowMs: number): void {
    if (!this.#outbox.isFull || this.#isSlow) this.close()
    else {
      this.#isSlow = true
      this.#lingerDeadlineMs = nowMs + this.engine.limits.exchangeIdleMs
    }
  }

  #expectEnd(): void {
    this.#lingerDeadlineMs = this.engine.loop.nowMs + this.engine.limits.lingerMs
  }

  drain(): void {
    if (this.#state === 'open') this.#leave(this.engine.loop.nowMs)
  }

  close(): void {
    if (this.#state === 'gone') return
    this.#state = 'gone'
    this.connection.dispose()
    for (const tunnel of [...this.tunnels]) tunnel.close()
    this.#out.flush()
    this.#outbox.dispose()
    this.#channel.close(this.engine.loop, false)
    this.engine.clients.remove(this)
  }
}

/** Goes on with a TLS channel on which h2 was agreed. */
export function openHttp2(
  engine: Engine,
  channel: SocketChannel,
  options: { entrance: Entrance; facts: ConnectionFacts; serverName: string; before: Client },
): void {
  const front = new Http2Front(engine, channel, options)
  channel.watchedBy(engine.loop, front)
  engine.clients.replace(options.before, front)
  engine.loop.again(front)
}
