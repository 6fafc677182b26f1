import type { Channel } from '../net/channel.ts'
import type { Client } from './client-set.ts'
import type { Engine } from './engine.ts'

/** A connection of which it is not known yet who goes on with it: that must show before the deadline of handshakes. */
export abstract class OpeningFront<Opening extends Channel> implements Client {
  protected readonly engine: Engine
  protected readonly channel: Opening
  readonly address: string
  readonly #deadlineMs: number
  /** Somebody else has the channel, or it is closed. */
  protected isDone = false

  constructor(engine: Engine, channel: Opening, address: string) {
    this.engine = engine
    this.channel = channel
    this.address = address
    this.#deadlineMs = engine.loop.nowMs + engine.limits.tlsHandshakeMs
  }

  sweep(nowMs: number): void {
    if (nowMs <= this.#deadlineMs) return
    this.engine.counters.tlsFailure('PT08')
    this.close()
  }

  drain(): void {
    // it has hardly begun: its deadline is near
  }

  close(): void {
    if (this.isDone) return
    this.isDone = true
    this.channel.close(this.engine.loop, false)
    this.engine.clients.remove(this)
  }
}
