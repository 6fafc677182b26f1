// HOT: `receivePacket` and `flush` run for every packet. Nothing is read from quiche that it does not
// say is there: each call into it costs a fraction of a microsecond, an iterator of streams ten.
import type { Connection } from '@matrixai/quic/native/types.js'
import { TransportError } from './errors.ts'
import type { Outbox } from './outbox.ts'
import { isNamed, UDP_PAYLOAD_BYTES_MAX } from './quic-config.ts'
import { InboundFrames, PARTIAL_BYTES_MAX } from './quic-frames.ts'
import type { QuicIdentity } from './quic-identity.ts'
import { QuicSessions } from './quic-sessions.ts'
import type { QuicStreamOwner, StreamListener } from './quic-stream-owner.ts'
import { writeStream } from './quiche-stream.ts'
import { type SessionEnd, sessionReset } from './session-end.ts'

/** What a connection needs of the transport that owns it. */
export interface LinkOwner extends StreamListener {
  sendPacket(packet: Buffer, host: string, port: number): void
  /** `flush` of the link is wanted before the event loop waits again. */
  flushSoon(link: QuicLink): void
  datagramReceived(bytes: Uint8Array, from: string): void
  /** Whether what its peer showed is of an authority that is trusted now: files change while a connection is being made. */
  trusts(link: QuicLink): boolean
  /** Both sides are who they should be. */
  linkOpened(link: QuicLink): void
  /** Once, and the last of it. */
  linkClosed(link: QuicLink, error: TransportError): void
}

export interface LinkInit {
  readonly owner: LinkOwner
  readonly connection: Connection
  readonly role: 'server' | 'client'
  /** Its connection was made with it. */
  readonly identity: QuicIdentity
  /** `host:port` of the peer. */
  readonly address: string
  readonly host: string
  readonly port: number
  /** Packets carry it: 16 bytes as latin1. */
  readonly id: string
  /** Of a server: the id that the client made up, which its first packets carry. */
  readonly firstId: string | undefined
  readonly local: { readonly host: string; readonly port: number }
}

/** The lowest ids of unidirectional streams, by who opens them (RFC 9000, section 2.1). */
const FIRST_UNI = { client: 2, server: 3 } as const
const UNI_BIT = 2
/** TLS alert (RFC 8446, section 6.2). */
const CERTIFICATE_UNKNOWN = 46
const EMPTY = new Uint8Array()
/** The socket may keep a packet that it was given, so each has its buffer; one that stayed empty is kept. */
let sparePacket: Buffer | undefined

/** One QUIC connection, and what goes through it. */
export class QuicLink implements QuicStreamOwner {
  readonly address: string
  readonly id: string
  readonly firstId: string | undefined
  readonly role: 'server' | 'client'
  readonly startedAtMs: number
  /** Set by the owner: what is to be sent. A link that is not its peer's first choice has none. */
  outbox: Outbox | undefined
  /** When this side last gave it something to carry. */
  usedAtMs: number
  lastReceivedAtMs: number
  /** Since when something is sent and nothing has come back; -1: nothing is unanswered. */
  unansweredSinceMs = -1
  readonly owner: LinkOwner
  readonly connection: Connection
  readonly #init: LinkInit
  readonly #path: { from: { host: string; port: number }; to: { host: string; port: number } }
  readonly #frames: InboundFrames
  readonly #sessions: QuicSessions
  readonly #uniId: number
  #partialFrame: Uint8Array | undefined
  #timer: Disposable | undefined
  #timerAtMs = Number.POSITIVE_INFINITY
  #state: 'connecting' | 'open' | 'closed' = 'connecting'
  #wasOpen = false
  #closeReason: TransportError | undefined

  constructor(init: LinkInit) {
    this.#init = init
    this.owner = init.owner
    this.connection = init.connection
    this.address = init.address
    this.id = init.id
    this.firstId = init.firstId
    this.role = init.role
    this.#path = { from: { host: init.host, port: init.port }, to: init.local }
    this.#uniId = FIRST_UNI[init.role]
    this.#frames = new InboundFrames(this)
    this.#sessions = new QuicSessions(this)
    this.startedAtMs = init.owner.clock.monotonicMs()
    this.usedAtMs = this.startedAtMs
    this.lastReceivedAtMs = this.startedAtMs
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** It is, or was before it closed. */
  get wasOpen(): boolean {
    return this.#wasOpen
  }

  isFrom(host: string, port: number): boolean {
    return this.#init.port === port && this.#init.host === host
  }

  get identity(): QuicIdentity {
    return this.#init.identity
  }

  /** What the peer showed, DER, its own certificate first. */
  get peerChain(): readonly Uint8Array[] {
    return this.connection.peerCertChain() ?? []
  }

  /** Smoothed by quiche, whole milliseconds. */
  get rttMs(): number {
    return this.connection.pathStats()[0]?.rtt ?? 0
  }

  get sessions(): Iterable<SessionEnd> {
    return this.#sessions
  }

  /** Decrypts in place. What it holds is handed on at the next flush. */
  receivePacket(packet: Buffer): void {
    this.lastReceivedAtMs = this.owner.clock.monotonicMs()
    this.unansweredSinceMs = -1
    try {
      this.connection.recv(packet, this.#path)
    } catch (error) {
      if (messageOf(error) === 'TlsFail') this.#noteRefusal(error)
      else this.owner.counters.packetsIgnored += 1
    }
    this.owner.flushSoon(this)
  }

  /** Hands on what came, sends what waits, and sets the timer. */
  flush(): void {
    if (this.#isGone) return
    const connection = this.connection
    if (this.#state === 'connecting' && connection.isEstablished()) this.#established()
    if (this.isOpen) this.#exchange()
    if (this.#isGone) return // a handler closed it
    this.#sendPackets()
    if (connection.isClosed() || connection.isDraining()) this.#closed()
    if (!this.#isGone) this.#armTimer()
  }

  #exchange(): void {
    this.#receiveDatagrams()
    if (this.connection.isReadable()) this.#readStreams()
    this.#sessions.move()
    if (this.isOpen) this.#sendOutbox()
  }

  get #isGone(): boolean {
    return this.#state === 'closed'
  }

  /** Something was given to it that the peer must answer. */
  noteSend(): void {
    this.usedAtMs = this.owner.clock.monotonicMs()
    if (this.unansweredSinceMs < 0) this.unansweredSinceMs = this.usedAtMs
  }

  /** `flush`, once all that is done now has been done. */
  flushSoon(): void {
    if (!this.#isGone) this.owner.flushSoon(this)
  }

  /** A packet that the peer must answer: keeps the connection, and the way through a NAT, open. */
  keepAlive(): void {
    this.connection.sendAckEliciting()
    if (this.unansweredSinceMs < 0) this.unansweredSinceMs = this.owner.clock.monotonicMs()
    this.owner.flushSoon(this)
  }

  /** @throws TransportError transport.too_many, transport.session_reset */
  openSession(): SessionEnd {
    if (this.#state !== 'open') throw sessionReset('its connection has closed')
    return this.#sessions.open()
  }

  /** Tells the peer, ends the sessions, and is gone. */
  close(error: TransportError): void {
    if (this.#state === 'closed') return
    this.#closeReason ??= error
    try {
      // Who is refused hears it as a refusal in the handshake is heard.
      const isRefused = error.code === 'transport.peer_refused'
      const code = isRefused ? this.owner.quiche.CRYPTO_ERROR_START + CERTIFICATE_UNKNOWN : 0
      this.connection.close(!isRefused, code, EMPTY)
      this.#sendPackets()
    } finally {
      this.#closed()
    }
  }

  #noteRefusal(error: unknown): void {
    this.#closeReason ??= new TransportError('transport.peer_refused', {
      what: 'the connection to a peer was refused on this side',
      values: { peer: this.address },
      fix: 'check that its certificate is of this cluster, in date, and for its purpose',
      cause: error,
    })
  }

  #established(): void {
    const [leaf] = this.peerChain
    const isKnown = this.role === 'server' ? leaf !== undefined : isNamed(leaf, this.#init.host)
    if (!isKnown) {
      this.close(
        new TransportError('transport.peer_refused', {
          what: 'who answers at an address has a certificate for other names',
          values: { peer: this.address },
          fix: 'make its server certificate with this address among the names',
        }),
      )
      return
    }
    if (!this.owner.trusts(this)) {
      this.close(distrusted(this.address))
      return
    }
    this.#state = 'open'
    this.#wasOpen = true
    this.owner.counters.connectionsOpened += 1
    this.owner.linkOpened(this)
  }

  #receiveDatagrams(): void {
    for (;;) {
      const bytes = this.connection.dgramRecvVec()
      if (bytes === null) return
      this.owner.counters.datagramsReceived += 1
      this.owner.datagramReceived(bytes, this.address)
    }
  }

  #readStreams(): void {
    for (const id of this.connection.readable()) {
      if ((id & UNI_BIT) === 0) this.#sessions.accept(id)
      else if (!this.#frames.read(id)) this.#closeGreedy()
    }
  }

  #closeGreedy(): void {
    this.close(
      new TransportError('transport.too_many', {
        what: 'a peer holds more memory with frames that it does not end than it may',
        values: { peer: this.address, bytesMax: PARTIAL_BYTES_MAX },
      }),
    )
  }

  #sendOutbox(): void {
    const { outbox } = this
    let bytes = outbox?.pollDatagram()
    for (; bytes !== undefined; bytes = outbox?.pollDatagram()) this.#sendDatagram(bytes)
    try {
      this.#sendFrames(outbox)
    } catch (cause) {
      this.close(
        new TransportError('transport.session_reset', {
          what: 'a peer takes no more frames on this connection',
          values: { peer: this.address },
          cause,
        }),
      )
    }
  }

  #sendDatagram(bytes: Uint8Array): void {
    if (this.#takesDatagram(bytes)) {
      this.owner.counters.datagramsSent += 1
      this.noteSend()
    } else this.owner.counters.datagramsDropped += 1
  }

  /** False: its queue is full, or the datagram is too long for the way to this peer. */
  #takesDatagram(bytes: Uint8Array): boolean {
    try {
      return this.connection.dgramSend(bytes) !== null
    } catch {
      return false
    }
  }

  /** Without an outbox only what was begun is ended. */
  #sendFrames(outbox: Outbox | undefined): void {
    for (;;) {
      const frame = this.#partialFrame ?? outbox?.pollFrame()
      if (frame === undefined) return
      const taken = writeStream(this.connection, this.#uniId, frame)
      if (taken > 0) this.noteSend()
      this.#partialFrame = taken < frame.length ? frame.subarray(taken) : undefined
      if (this.#partialFrame !== undefined) return
      this.owner.counters.framesSent += 1
    }
  }

  #sendPackets(): void {
    for (;;) {
      const packet = sparePacket ?? Buffer.allocUnsafe(UDP_PAYLOAD_BYTES_MAX)
      const bytes = this.#nextPacket(packet)
      sparePacket = bytes === 0 ? packet : undefined
      if (bytes === 0) return
      this.owner.sendPacket(packet.subarray(0, bytes), this.#init.host, this.#init.port)
    }
  }

  /** How many bytes the packet has; 0: nothing is to be sent, or ever will be. */
  #nextPacket(packet: Buffer): number {
    try {
      return this.connection.send(packet)?.[0] ?? 0
    } catch (cause) {
      this.#closeReason ??= sessionReset('its connection has failed', cause)
      this.#closed()
      return 0
    }
  }

  /** An earlier timer may stay: it then finds nothing to do, and sets the next. */
  #armTimer(): void {
    const { clock } = this.owner
    const waitMs = this.connection.timeout()
    if (waitMs === null) return
    const atMs = clock.monotonicMs() + waitMs
    if (this.#timerAtMs <= atMs + 1) return
    this.#timer?.[Symbol.dispose]()
    this.#timerAtMs = atMs
    this.#timer = clock.setTimer(() => {
      this.#timerAtMs = Number.POSITIVE_INFINITY
      this.connection.onTimeout()
      this.flush()
    }, waitMs + 1)
  }

  #closed(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#timer?.[Symbol.dispose]()
    const error = this.#closeReason ?? this.#whyClosed()
    if (this.#partialFrame !== undefined) this.owner.counters.framesDropped += 1
    this.#sessions.failAll(error)
    this.#frames.clear()
    this.owner.linkClosed(this, error)
  }

  #whyClosed(): TransportError {
    const { CRYPTO_ERROR_START, CRYPTO_ERROR_STOP } = this.owner.quiche
    const peerError = this.connection.peerError()
    const code = peerError?.isApp === false ? peerError.errorCode : -1
    if (code >= CRYPTO_ERROR_START && code <= CRYPTO_ERROR_STOP) {
      return new TransportError('transport.peer_refused', {
        what: 'a peer refused our certificate',
        values: { peer: this.address, tlsAlert: code - CRYPTO_ERROR_START },
        fix: 'check that both certificates are of the same cluster, and in date',
      })
    }
    return new TransportError('transport.unreachable', {
      what: peerError === null ? 'a peer does not answer' : 'a peer closed the connection',
      values: { peer: this.address },
    })
  }
}

/** Why a connection ends whose peer showed a certificate of an authority that was dropped. */
export function distrusted(peer: string): TransportError {
  return new TransportError('transport.peer_refused', {
    what: 'the authority of a peer is not trusted any more',
    values: { peer },
    fix: 'give that host certificates of an authority that this one trusts',
  })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
