import {
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { SocketChannel } from '../net/channel.ts'
import { ChannelDuplex } from '../net/channel-duplex.ts'
import { Outbox } from '../net/outbox.ts'
import type { ConnectionFacts, Entrance } from '../route.ts'
import type { Client } from './client-set.ts'
import type { Engine } from './engine.ts'
import { requestHop } from './hop.ts'
import { Http2Stream } from './http2-stream.ts'

/** Frames that begin or end a stream for nothing, in one window, before the connection is ended. */
const CANCELLED_STREAMS_MAX = 200
const CANCEL_WINDOW_MS = 10_000
const HEADER_LIST_PAIRS_MAX = 128
const SESSION_MEMORY_MB = 4
/** Octets of all fields after decompression: what CONTINUATION frames can add up to. */
const HEADER_LIST_BYTES_MAX = 32 << 10

/** One HTTP/2 connection of a client. node:http2 speaks the protocol; each stream is an exchange. */
export class Http2Front implements Client {
  readonly engine: Engine
  readonly facts: ConnectionFacts
  readonly entrance: Entrance
  readonly serverName: string
  readonly hop
  readonly #session: ServerHttp2Session
  readonly #duplex: ChannelDuplex
  #openStreams = 0
  #deadlineMs = 0
  #cancelled = 0
  #windowStartMs = 0
  #isGone = false

  constructor(
    engine: Engine,
    duplex: ChannelDuplex,
    entrance: Entrance,
    facts: ConnectionFacts,
    serverName: string,
  ) {
    this.engine = engine
    this.facts = facts
    this.entrance = entrance
    this.serverName = serverName
    this.hop = requestHop(engine.region, facts, true, '2')
    this.#duplex = duplex
    this.#touch()
    this.#session = performServerHandshake(duplex, {
      maxHeaderListPairs: HEADER_LIST_PAIRS_MAX,
      maxSessionMemory: SESSION_MEMORY_MB,
      maxSessionInvalidFrames: 100,
      maxSessionRejectedStreams: 50,
      maxSettings: 32,
      maxOutstandingPings: 10,
      settings: {
        maxConcurrentStreams: engine.limits.streamsMax,
        maxHeaderListSize: HEADER_LIST_BYTES_MAX,
        initialWindowSize: 256 << 10,
        enableConnectProtocol: true,
      },
    })
    this.#session.on('stream', (stream, headers) => this.#begin(stream, headers))
    this.#session.on('error', () => this.close())
    this.#session.on('close', () => this.#gone())
    duplex.on('error', () => this.close())
    duplex.on('close', () => this.#gone())
  }

  get address(): string {
    return this.facts.clientAddress
  }

  #begin(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    this.#openStreams += 1
    this.#touch()
    stream.on('error', () => undefined) // `close` follows, with the code
    stream.once('close', () => {
      this.#openStreams -= 1
      this.#touch()
      if (stream.rstCode !== 0) this.#streamCancelled()
    })
    new Http2Stream(this, stream).begin(headers)
  }

  /** Rapid reset (CVE-2023-44487): streams that are begun only to be cancelled. */
  #streamCancelled(): void {
    const { nowMs } = this.engine.loop
    if (nowMs - this.#windowStartMs > CANCEL_WINDOW_MS) {
      this.#windowStartMs = nowMs
      this.#cancelled = 0
    }
    this.#cancelled += 1
    if (this.#cancelled <= CANCELLED_STREAMS_MAX) return
    this.engine.counters.fault('h2-resets')
    this.close()
  }

  #touch(): void {
    this.#deadlineMs = this.engine.loop.nowMs + this.engine.limits.keepAliveIdleMs
  }

  sweep(nowMs: number): void {
    if (this.#openStreams === 0 && nowMs > this.#deadlineMs) this.#end()
    for (const stream of this.#streams) stream.sweep(nowMs)
  }

  readonly #streams = new Set<Http2Stream>()
  opened(stream: Http2Stream): void {
    this.#streams.add(stream)
  }
  closed(stream: Http2Stream): void {
    this.#streams.delete(stream)
  }

  /** nghttp2 would wait for ever for the rest of a head that was begun, and tells nobody of it. */
  #end(): void {
    if (this.#session.closed) this.close()
    else this.drain()
    this.#deadlineMs = this.engine.loop.nowMs + this.engine.limits.lingerMs
  }

  drain(): void {
    if (!this.#session.closed) this.#session.close() // GOAWAY; open streams end first
  }

  close(): void {
    this.#session.destroy()
    this.#duplex.destroy()
    this.#gone()
  }

  #gone(): void {
    if (this.#isGone) return
    this.#isGone = true
    this.engine.clients.remove(this)
    this.#duplex.destroy()
  }
}

/** Goes on with a TLS channel on which h2 was agreed. */
export function openHttp2(
  engine: Engine,
  channel: SocketChannel,
  options: { entrance: Entrance; facts: ConnectionFacts; serverName: string; before: Client },
): void {
  const { entrance, facts, serverName, before } = options
  const outbox = new Outbox(channel, engine.clientStage, engine.waiting)
  const duplex = new ChannelDuplex(channel, outbox, engine.loop)
  channel.watchedBy(engine.loop, duplex)
  engine.clients.replace(before, new Http2Front(engine, duplex, entrance, facts, serverName))
  engine.loop.again(duplex)
}
