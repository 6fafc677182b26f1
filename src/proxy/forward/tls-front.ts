import { BROKEN, PEER_ENDED, type Watcher } from '../net/event-loop.ts'
import { EAGAIN } from '../net/libc.ts'
import { TlsChannel } from '../tls/tls-channel.ts'
import type { TlsContext } from '../tls/tls-context.ts'
import type { Client } from './client-set.ts'
import type { Engine } from './engine.ts'

/** One TLS handshake. Then `then` goes on with the channel. */
export class TlsFront implements Watcher, Client {
  readonly #engine: Engine
  readonly #channel: TlsChannel
  readonly address: string
  readonly #then: (channel: TlsChannel, front: TlsFront) => void
  readonly #deadlineMs: number
  #isDone = false

  constructor(
    engine: Engine,
    fd: number,
    address: string,
    context: TlsContext,
    then: (channel: TlsChannel, front: TlsFront) => void,
  ) {
    this.#engine = engine
    this.#channel = new TlsChannel(fd, context)
    this.address = address
    this.#then = then
    this.#deadlineMs = engine.loop.nowMs + engine.limits.tlsHandshakeMs
  }

  ready(flags: number): void {
    if (this.#isDone) return
    const result = this.#channel.handshake()
    if (result === 1) {
      this.#isDone = true
      this.#engine.counters.tlsHandshakes += 1
      this.#then(this.#channel, this)
    } else if (result !== EAGAIN || flags & (BROKEN | PEER_ENDED)) {
      this.#engine.counters.tlsFailure(result === EAGAIN || result === 0 ? 'PT03' : 'PT04')
      this.close()
    }
  }

  /** The handshake was all that was wanted (RFC 8737). */
  finish(): void {
    this.#isDone = false
    this.close()
  }

  sweep(nowMs: number): void {
    if (nowMs <= this.#deadlineMs) return
    this.#engine.counters.tlsFailure('PT08')
    this.close()
  }

  drain(): void {
    // it has hardly begun: its deadline is near
  }

  close(): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#channel.close(this.#engine.loop, false)
    this.#engine.clients.remove(this)
  }
}
