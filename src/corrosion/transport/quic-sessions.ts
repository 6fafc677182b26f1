import { TransportError } from './errors.ts'
import { SESSIONS_MAX } from './quic-config.ts'
import type { QuicStreamOwner } from './quic-stream-owner.ts'
import { abandonStream, createStream, endStream, readStream, writeStream } from './quiche-stream.ts'
import { SessionEnd, type SessionPipe, sessionReset } from './session-end.ts'

/** The lowest ids of bidirectional streams, by who opens them (RFC 9000, section 2.1). They are 4 apart. */
const FIRST_ID = { client: 0, server: 1 } as const

/** The sessions of one connection, ours and the peer's, each on a stream. */
export class QuicSessions implements Iterable<SessionEnd> {
  readonly #link: QuicStreamOwner
  readonly #sessions = new Map<number, SessionEnd>()
  #nextId: number

  constructor(link: QuicStreamOwner) {
    this.#link = link
    this.#nextId = FIRST_ID[link.role]
  }

  [Symbol.iterator](): Iterator<SessionEnd> {
    return this.#sessions.values()
  }

  /** @throws TransportError transport.too_many */
  open(): SessionEnd {
    const { connection, owner, address } = this.#link
    if (connection.peerStreamsLeftBidi() === 0 || this.#sessions.size >= 2 * SESSIONS_MAX) {
      throw new TransportError('transport.too_many', {
        what: 'as many sessions with this peer as there may be are open',
        values: { peer: address, sessions: this.#sessions.size },
      })
    }
    const id = this.#nextId
    this.#nextId += 4
    createStream(connection, id)
    owner.counters.sessionsOpened += 1
    return this.#add(id)
  }

  /** There is something to read on a stream: a new session, unless `move` will come to it. */
  accept(id: number): void {
    if (this.#sessions.has(id)) return
    const { owner, connection, role } = this.#link
    if ((id & 1) === FIRST_ID[role]) {
      abandonStream(owner.quiche, connection, id) // late bytes of a session that was given up
      return
    }
    owner.counters.sessionsAccepted += 1
    owner.sessionOpened(this.#add(id))
  }

  /** Lets each go on that can. */
  move(): void {
    for (const [id, session] of this.#sessions) {
      session.pipeMoved()
      if (session.isOver) this.#sessions.delete(id)
    }
  }

  failAll(error: TransportError): void {
    for (const session of this.#sessions.values()) session.fail(error)
    this.#sessions.clear()
  }

  #add(id: number): SessionEnd {
    const session = new SessionEnd(this.#link.address, this.#pipe(id), this.#link.owner.clock)
    this.#sessions.set(id, session)
    return session
  }

  #pipe(id: number): SessionPipe {
    return {
      read: () => this.#read(id),
      write: (bytes) => this.#write(id, bytes),
      finish: () => this.#finish(id),
      reset: () => this.#reset(id),
    }
  }

  #read(id: number): Uint8Array | undefined | null {
    const { connection } = this.#link
    this.#checkOpen()
    if (!connection.streamReadable(id)) return connection.streamFinished(id) ? null : undefined
    try {
      const read = readStream(connection, id)
      this.#link.flushSoon() // the peer may send more now
      if (read === undefined) return undefined
      return read.isEnd && read.chunk.length === 0 ? null : read.chunk
    } catch (cause) {
      throw givenUp(cause)
    }
  }

  #write(id: number, bytes: Uint8Array): number {
    this.#checkOpen()
    try {
      const taken = writeStream(this.#link.connection, id, bytes)
      if (taken > 0) this.#sent()
      return taken
    } catch (cause) {
      throw givenUp(cause)
    }
  }

  #finish(id: number): void {
    if (!this.#link.isOpen) return
    try {
      endStream(this.#link.connection, id)
      this.#sent()
    } catch (cause) {
      this.#sessions.get(id)?.fail(givenUp(cause))
    }
  }

  #sent(): void {
    this.#link.noteSend()
    this.#link.flushSoon()
  }

  #reset(id: number): void {
    const { owner, connection } = this.#link
    this.#sessions.delete(id)
    abandonStream(owner.quiche, connection, id)
    this.#link.flushSoon()
  }

  #checkOpen(): void {
    if (!this.#link.isOpen) throw sessionReset('its connection has closed')
  }
}

function givenUp(cause: unknown): TransportError {
  return sessionReset('the peer gave it up', cause)
}
