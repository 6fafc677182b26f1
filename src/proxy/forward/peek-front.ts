import { TcpChannel } from '../net/channel.ts'
import { BROKEN, PEER_ENDED, READABLE, type Watcher } from '../net/event-loop.ts'
import { EAGAIN, MSG_PEEK, recv } from '../net/libc.ts'
import { Memory } from '../net/memory.ts'
import type { Engine } from './engine.ts'
import { OpeningFront } from './opening-front.ts'

const PEEK_BYTES = 20 << 10
/** Shared: what was peeked holds during a turn. */
const peeked = new Memory(PEEK_BYTES)

/** What the first bytes of a connection say: wait, give up, or go on after taking so many. */
export type Verdict =
  | 'more'
  | 'close'
  | { readonly take: number; readonly onTaken: (channel: TcpChannel) => void }

/**
 * Looks at the first bytes of a connection without taking them: a server name, a PROXY header,
 * PostgreSQL's wish for TLS. Then somebody else goes on with the descriptor.
 */
export class PeekFront extends OpeningFront<TcpChannel> implements Watcher {
  readonly #look: (bytes: Buffer) => Verdict

  constructor(engine: Engine, fd: number, address: string, look: (bytes: Buffer) => Verdict) {
    super(engine, new TcpChannel(fd), address)
    this.#look = look
  }

  ready(flags: number): void {
    if (this.isDone || (flags !== 0 && (flags & (READABLE | BROKEN | PEER_ENDED)) === 0)) return
    const count = recv(this.channel.fd, peeked.at(0), PEEK_BYTES, MSG_PEEK)
    if (count === EAGAIN) return
    if (count <= 0) {
      this.close()
      return
    }
    const verdict = this.#look(peeked.bytes.subarray(0, count))
    if (verdict === 'more') {
      if (count === PEEK_BYTES || flags & PEER_ENDED) this.close()
      return
    }
    if (verdict === 'close') {
      this.close()
      return
    }
    this.isDone = true
    if (verdict.take > 0) recv(this.channel.fd, peeked.at(0), verdict.take, 0)
    verdict.onTaken(this.channel)
  }
}
