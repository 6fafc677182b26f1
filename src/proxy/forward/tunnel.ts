import { type Channel, INPUT_MARGIN, input } from '../net/channel.ts'
import { BROKEN, LEAVING, PEER_ENDED, READABLE, type Watcher, WRITABLE } from '../net/event-loop.ts'
import { EAGAIN } from '../net/libc.ts'
import type { Outbox } from '../net/outbox.ts'
import type { Lease } from '../route.ts'
import type { Client } from './client-set.ts'
import type { Engine } from './engine.ts'
import { WebSocketFarewell } from './web-socket-farewell.ts'
import type { WebSocketTunnel } from './web-sockets.ts'

const READS_PER_TURN = 4

/** One side of a tunnel: reads from its own channel, writes to the other's. */
class TunnelEnd implements Watcher {
  readonly channel: Channel
  readonly outbox: Outbox
  readonly #tunnel: Tunnel
  isReadable = true
  isEnding: boolean
  /** The peer ended its direction, and the other side was told. */
  hasEnded = false
  receivedBytes = 0

  constructor(tunnel: Tunnel, { channel, outbox, isEnding }: TunnelSide) {
    this.#tunnel = tunnel
    this.isEnding = isEnding
    this.channel = channel
    this.outbox = outbox
  }

  ready(flags: number): void {
    if (this.#tunnel.isClosed) return
    if (flags & LEAVING) this.#tunnel.goAway()
    if (flags & PEER_ENDED) this.isEnding = true
    if (flags & (READABLE | BROKEN | PEER_ENDED)) this.isReadable = true
    const other = this.#tunnel.otherEnd(this)
    if (flags & WRITABLE && this.outbox.isFull && this.outbox.drain()) other.pump()
    if (this.outbox.isBroken) this.#tunnel.finish(true)
    else this.pump()
  }

  pump(): void {
    const other = this.#tunnel.otherEnd(this)
    let reads = 0
    while (this.isReadable && !this.hasEnded && !other.outbox.isFull && !this.#tunnel.isClosed) {
      if (reads === READS_PER_TURN) {
        this.#tunnel.engine.loop.again(this)
        return
      }
      reads += 1
      const count = this.channel.receive()
      if (count === EAGAIN) {
        this.isReadable = false
      } else if (count > 0) {
        if (!this.channel.hasMore && !this.isEnding) this.isReadable = false
        this.receivedBytes += count
        this.#tunnel.passOn(this, count)
        this.#tunnel.touch()
        if (other.outbox.isBroken) this.#tunnel.finish(true)
      } else if (count === 0) {
        this.hasEnded = true
        other.outbox.end()
        this.#tunnel.touch()
      } else this.#tunnel.finish(true)
    }
    this.#tunnel.finishWhenDone()
  }
}

/** One connection of a tunnel. `isEnding`: whoever had it before was told already that its peer ends. */
export interface TunnelSide {
  readonly channel: Channel
  readonly outbox: Outbox
  readonly isEnding: boolean
}

/**
 * Bytes both ways, as they are: raw services, and HTTP connections after 101. Each direction ends by
 * itself; a reset of one side resets the other. What is buffered is bounded by one read a direction.
 */
export class Tunnel implements Client, WebSocketTunnel {
  readonly engine: Engine
  readonly address: string
  readonly #client: TunnelEnd
  readonly #backend: TunnelEnd
  readonly #lease: Lease | undefined
  readonly #idleMs: number
  readonly #onEnd: (() => void) | undefined
  /** Of a WebSocket. */
  readonly #farewell: WebSocketFarewell | undefined
  readonly machine: string
  #deadlineMs = Number.POSITIVE_INFINITY
  isClosed = false

  constructor(options: {
    engine: Engine
    address: string
    client: TunnelSide
    backend: TunnelSide
    lease: Lease | undefined
    /** Ends after so long without a byte. Infinity: never. */
    idleMs: number
    onEnd?: () => void
    /** What passes are frames: the client can be told that the machine goes. @default false */
    isWebSocket?: boolean
  }) {
    this.engine = options.engine
    this.address = options.address
    this.#client = new TunnelEnd(this, options.client)
    this.#backend = new TunnelEnd(this, options.backend)
    this.#lease = options.lease
    this.#idleMs = options.idleMs
    this.#onEnd = options.onEnd
    this.#farewell = options.isWebSocket === true ? new WebSocketFarewell() : undefined
    this.machine = options.lease?.machine ?? ''
    if (this.#farewell !== undefined) this.engine.webSockets.add(this)
    this.engine.counters.tunnelsOpen += 1
    this.#client.channel.watchedBy(this.engine.loop, this.#client)
    this.#backend.channel.watchedBy(this.engine.loop, this.#backend)
    this.touch()
  }

  /** Sends what came before the tunnel stood, then reads what waits on both sides. */
  start(toBackend: Uint8Array | undefined, toClient: Uint8Array | undefined): void {
    if (toClient !== undefined) {
      this.#farewell?.pass(toClient, 0, toClient.length)
      stageBytes(this.#client.outbox, toClient)
    }
    if (toBackend !== undefined) stageBytes(this.#backend.outbox, toBackend)
    this.#client.pump()
    if (!this.isClosed) this.#backend.pump()
  }

  otherEnd(end: TunnelEnd): TunnelEnd {
    return end === this.#client ? this.#backend : this.#client
  }

  /** `count` bytes came at one end, and are in `input`. HOT. */
  passOn(from: TunnelEnd, count: number): void {
    const { outbox } = this.otherEnd(from)
    const farewell = from === this.#client ? undefined : this.#farewell
    if (farewell === undefined) {
      outbox.send(input, INPUT_MARGIN, count)
      return
    }
    const end = farewell.pass(input.bytes, INPUT_MARGIN, INPUT_MARGIN + count)
    outbox.send(input, INPUT_MARGIN, end - INPUT_MARGIN)
    this.#sayFarewell()
  }

  goAway(): void {
    if (this.isClosed || this.#farewell === undefined || this.#farewell.isBegun) return
    this.#farewell.begin()
    this.#deadlineMs = performance.now() + this.engine.limits.lingerMs
    this.#sayFarewell()
  }

  #sayFarewell(): void {
    const frame = this.#farewell?.take()
    if (frame !== undefined) stageBytes(this.#client.outbox, frame)
  }

  touch(): void {
    if (this.#farewell?.isBegun === true) return // its end is set
    const isHalfClosed = this.#client.hasEnded || this.#backend.hasEnded
    const { halfClosedMs } = this.engine.limits
    const idleMs = isHalfClosed ? Math.min(halfClosedMs, this.#idleMs) : this.#idleMs
    this.#deadlineMs = this.engine.loop.nowMs + idleMs
  }

  finishWhenDone(): void {
    if (this.isClosed || !this.#client.hasEnded || !this.#backend.hasEnded) return
    if (!this.#client.outbox.isFull && !this.#backend.outbox.isFull) this.finish(false)
  }

  finish(isAbort: boolean): void {
    if (this.isClosed) return
    this.isClosed = true
    for (const end of [this.#client, this.#backend]) {
      end.outbox.dispose()
      end.channel.close(this.engine.loop, isAbort)
    }
    const { counters, clients } = this.engine
    counters.tunnelsOpen -= 1
    counters.backendsOpen -= 1
    counters.bytesIn += this.#client.receivedBytes
    counters.bytesOut += this.#backend.receivedBytes
    this.#lease?.release(isAbort ? 'broken' : 'done', {
      sent: this.#client.receivedBytes,
      received: this.#backend.receivedBytes,
    })
    clients.remove(this)
    if (this.#farewell !== undefined) this.engine.webSockets.remove(this)
    this.#onEnd?.()
  }

  sweep(nowMs: number): void {
    if (nowMs > this.#deadlineMs) this.close()
  }

  drain(): void {
    // it goes on until the drain's deadline: whoever speaks in it decides
  }

  close(): void {
    this.finish(this.#farewell?.isBegun !== true)
  }
}

/** Small bytes from elsewhere, through the stage. */
export function stageBytes(outbox: Outbox, bytes: Uint8Array): void {
  let at = 0
  while (at < bytes.length) {
    const end = Math.min(bytes.length, at + STAGE_PIECE_BYTES)
    outbox.writer.copy(bytes, at, end)
    outbox.flush()
    at = end
  }
}

const STAGE_PIECE_BYTES = 64 << 10
