import { BROKEN, PEER_ENDED, type Watcher } from '../net/event-loop.ts'
import { EAGAIN } from '../net/libc.ts'
import { TlsChannel } from '../tls/tls-channel.ts'
import type { TlsContext } from '../tls/tls-context.ts'
import type { Engine } from './engine.ts'
import { OpeningFront } from './opening-front.ts'

/** One TLS handshake. Then `then` goes on with the channel. */
export class TlsFront extends OpeningFront<TlsChannel> implements Watcher {
  readonly #then: (channel: TlsChannel, front: TlsFront) => void

  constructor(
    engine: Engine,
    fd: number,
    address: string,
    context: TlsContext,
    then: (channel: TlsChannel, front: TlsFront) => void,
  ) {
    super(engine, new TlsChannel(fd, context), address)
    this.#then = then
  }

  ready(flags: number): void {
    if (this.isDone) return
    const result = this.channel.handshake()
    if (result === 1) {
      this.isDone = true
      this.engine.counters.tlsHandshakes += 1
      this.#then(this.channel, this)
    } else if (result !== EAGAIN || flags & (BROKEN | PEER_ENDED)) {
      this.engine.counters.tlsFailure(result === EAGAIN || result === 0 ? 'PT03' : 'PT04')
      this.close()
    }
  }

  /** The handshake was all that was wanted (RFC 8737). */
  finish(): void {
    this.isDone = false
    this.close()
  }
}
