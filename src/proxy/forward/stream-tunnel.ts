import type { Duplex } from 'node:stream'
import { INPUT_MARGIN, input } from '../net/channel.ts'
import { BROKEN, LEAVING, PEER_ENDED, READABLE, type Watcher, WRITABLE } from '../net/event-loop.ts'
import { EAGAIN } from '../net/libc.ts'
import type { Lease } from '../route.ts'
import type { BackendConnection } from './backend-connection.ts'
import type { Engine } from './engine.ts'
import { stageBytes } from './tunnel.ts'
import { WebSocketFarewell } from './web-socket-farewell.ts'
import type { WebSocketTunnel } from './web-sockets.ts'

/** A WebSocket between a Node stream (an HTTP/2 stream) and a machine: bytes both ways. */
export class StreamTunnel implements Watcher, WebSocketTunnel {
  readonly #engine: Engine
  readonly #stream: Duplex
  readonly #backend: BackendConnection
  #lease: Lease | undefined
  readonly #farewell = new WebSocketFarewell()
  readonly machine: string
  #deadlineMs = Number.POSITIVE_INFINITY
  #isReadable = true
  #isFull = false
  #isClosed = false
  #sent = 0
  #received = 0

  constructor(
    engine: Engine,
    stream: Duplex,
    backend: BackendConnection,
    lease: Lease | undefined,
  ) {
    this.#engine = engine
    this.#stream = stream
    this.#backend = backend
    this.#lease = lease
    this.machine = lease?.machine ?? ''
    engine.counters.tunnelsOpen += 1
    engine.webSockets.add(this)
  }

  start(extra: Buffer): void {
    this.#backend.channel.watchedBy(this.#engine.loop, this)
    this.#farewell.pass(extra, 0, extra.length)
    if (extra.length > 0) this.#stream.write(extra)
    this.#stream.on('data', (chunk: Buffer) => this.#toBackend(chunk))
    this.#stream.once('end', () => this.#backend.outbox.end())
    this.#stream.once('close', () => this.close())
    this.#stream.on('drain', () => {
      this.#isFull = false
      this.#pump()
    })
    this.#pump()
  }

  #toBackend(chunk: Buffer): void {
    this.#sent += chunk.length
    stageBytes(this.#backend.outbox, chunk)
    if (this.#backend.outbox.isFull) this.#stream.pause()
    if (this.#backend.outbox.isBroken) this.close()
  }

  ready(flags: number): void {
    if (this.#isClosed) return
    this.#engine.loop.letNodeRun()
    if (flags & LEAVING) this.goAway()
    if (flags === 0 || flags & (READABLE | BROKEN | PEER_ENDED)) this.#isReadable = true
    if (flags & WRITABLE && this.#backend.outbox.isFull && this.#backend.outbox.drain())
      this.#stream.resume()
    this.#pump()
  }

  #pump(): void {
    while (this.#isReadable && !this.#isFull && !this.#isClosed) {
      const count = this.#backend.channel.receive()
      if (count === EAGAIN) this.#isReadable = false
      else if (count > 0) {
        this.#received += count
        const end = this.#farewell.pass(input.bytes, INPUT_MARGIN, INPUT_MARGIN + count)
        if (end > INPUT_MARGIN) this.#write(Buffer.from(input.bytes.subarray(INPUT_MARGIN, end)))
        this.#sayFarewell()
      } else {
        this.#isReadable = false
        if (count === 0) this.#stream.end()
        else this.close()
      }
    }
  }

  #write(bytes: Buffer): void {
    this.#isFull = !this.#stream.write(bytes)
  }

  goAway(): void {
    if (this.#isClosed || this.#farewell.isBegun) return
    this.#farewell.begin()
    this.#deadlineMs = performance.now() + this.#engine.limits.lingerMs
    this.#sayFarewell()
  }

  #sayFarewell(): void {
    const frame = this.#farewell.take()
    if (frame !== undefined) this.#write(frame)
  }

  sweep(nowMs: number): void {
    if (nowMs > this.#deadlineMs) this.close()
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#engine.webSockets.remove(this)
    this.#engine.counters.tunnelsOpen -= 1
    this.#backend.close()
    this.#lease?.release('done', { sent: this.#sent, received: this.#received })
    this.#lease = undefined
    if (!this.#stream.destroyed) this.#stream.destroy()
  }
}
