import { randomBytes } from 'node:crypto'
import type { RemoteInfo } from 'node:dgram'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Quiche } from '@matrixai/quic/native/quiche.js'
import { type Clock, type Random, startDeadline, systemClock, systemRandom } from '#base'
import { formatSocketAddress, parseSocketAddress } from '../wire/socket-address.ts'
import { addressBad, closedError, TransportError } from './errors.ts'
import { PeerTable } from './peer-table.ts'
import { type ClusterTls, IDLE_TIMEOUT_MS, loadQuiche } from './quic-config.ts'
import { checkTls, QuicIdentity } from './quic-identity.ts'
import { distrusted, type LinkOwner, QuicLink } from './quic-link.ts'
import type { QuicPeer } from './quic-peer.ts'
import {
  type BiSession,
  CONNECT_DEADLINE_MS,
  DATAGRAM_BYTES_MAX,
  newCounters,
  type Transport,
  type TransportHandlers,
  type WaitOptions,
} from './transport.ts'
import { openUdpSocket, parseListen, type UdpSocket } from './udp-socket.ts'

export interface QuicTransportOptions {
  /** Where to listen, `ip:port`; port 0 takes a free one. */
  readonly listen: string
  /** Under which peers reach this node, when that is another. @default what is bound */
  readonly advertise?: string
  readonly tls: ClusterTls
  readonly handlers: TransportHandlers
  /** @default CONNECT_DEADLINE_MS */
  readonly connectDeadlineMs?: number
  /** A peer that answers nothing for so long has restarted, or is cut off: dial anew. @default 5,000 */
  readonly silenceMs?: number
  readonly clock?: Clock
  readonly random?: Random
}

/** Strangers that have not shown a certificate yet. */
const STRANGERS_MAX = 256
const LINKS_MAX = 8_192
const CONNECTION_ID_BYTES = 16
const LONG_HEADER = 0x80
const HOUSEKEEPING_MS = 1_000
/** A connection that carried nothing for so long may end: the next message opens another. */
const WARM_MS = 5 * 60_000
const KEEP_ALIVE_MS = IDLE_TIMEOUT_MS / 3
const SILENCE_MS = 5_000
/** Of a whole session. */
const SESSION_MS_MAX = 300_000

/** One that takes other TLS files while it runs. */
export interface RenewableTransport extends Transport {
  /**
   * New connections go by them at once. Those that are there go on, unless an authority was dropped: then the ones end whose
   * peers showed a certificate of it.
   * @throws TransportError transport.certificate_bad: all goes on as before; transport.closed
   */
  renewTls(tls: ClusterTls): void
}

/** @throws TransportError transport.quic_missing, .address_bad, .certificate_bad */
export async function openQuicTransport(
  options: QuicTransportOptions,
): Promise<RenewableTransport> {
  const quiche = await loadQuiche()
  const listen = parseListen(options.listen)
  const transport = new QuicTransport(quiche, options)
  await transport.start(listen)
  return transport
}

/**
 * All connections of a node, in and out, on one UDP socket: so a peer that connected to us is reached
 * back through the same connection, and its packets come from the address that others know it by.
 *
 * It drives quiche itself, through the bindings of @matrixai/quic: see docs/adr/0005.
 */
class QuicTransport implements RenewableTransport, LinkOwner {
  readonly quiche: Quiche
  readonly clock: Clock
  readonly counters = newCounters()
  readonly #handlers: TransportHandlers
  readonly #connectDeadlineMs: number
  readonly #silenceMs: number
  readonly #peers: PeerTable
  readonly #links = new Map<string, QuicLink>()
  readonly #dirty = new Set<QuicLink>()
  readonly #flushDirty = () => this.#flushAll()
  #identity: QuicIdentity
  #strangers = 0
  #socket: UdpSocket | undefined
  #housekeeping: Disposable | undefined
  #isFlushing = false
  #isClosed = false
  #address = ''

  constructor(quiche: Quiche, options: QuicTransportOptions) {
    this.quiche = quiche
    this.clock = options.clock ?? systemClock
    this.#peers = new PeerTable(this.counters, options.random ?? systemRandom)
    this.#handlers = options.handlers
    this.#connectDeadlineMs = options.connectDeadlineMs ?? CONNECT_DEADLINE_MS
    this.#silenceMs = options.silenceMs ?? SILENCE_MS
    this.#address = options.advertise ?? ''
    this.#identity = new QuicIdentity(quiche, options.tls)
  }

  get address(): string {
    return this.#address
  }

  async start(listen: { host: string; port: number; family: 4 | 6 }): Promise<void> {
    this.#socket = await openUdpSocket(listen, {
      received: (packet, from) => this.#receive(packet, from),
      sendFailed: () => {
        this.counters.packetsUnsent += 1 // as good as lost, and QUIC repairs what is lost
      },
    })
    this.#address ||= formatSocketAddress(this.#socket.host, this.#socket.port)
    this.#scheduleHousekeeping()
  }

  sendDatagram(to: string, bytes: Uint8Array): boolean {
    const peer = bytes.length <= DATAGRAM_BYTES_MAX ? this.#reachable(to) : undefined
    if (peer !== undefined) return peer.outbox.offerDatagram(bytes)
    this.counters.datagramsDropped += 1
    return false
  }

  sendUni(to: string, frame: Uint8Array): boolean {
    const peer = this.#reachable(to)
    if (peer !== undefined) return peer.outbox.offerFrame(frame)
    this.counters.framesDropped += 1
    return false
  }

  async openBi(to: string, options: WaitOptions = {}): Promise<BiSession> {
    const { deadlineMs = this.#connectDeadlineMs, signal } = options
    signal?.throwIfAborted()
    const peer = this.#peers.of(to)
    if (this.#isClosed || peer === undefined) throw this.#cannotReach(to)
    const refusal = this.#ensureLink(peer)
    if (refusal !== undefined) throw refusal
    const link = peer.link?.isOpen ? peer.link : await this.#opened(peer, deadlineMs, signal)
    const session = link.openSession()
    this.flushSoon(link)
    return session
  }

  rttMs(to: string): number | undefined {
    const link = this.#peers.known(to)?.link
    return link?.isOpen ? link.rttMs : undefined
  }

  renewTls(tls: ClusterTls): void {
    if (this.#isClosed) throw closedError()
    checkTls(tls, this.clock.nowMs())
    const before = this.#identity
    this.#identity = new QuicIdentity(this.quiche, tls)
    if (this.#identity.hasDroppedOf(before)) void this.#dropDistrusted()
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#housekeeping?.[Symbol.dispose]()
    for (const link of new Set(this.#links.values())) link.close(closedError())
    for (const peer of this.#peers) peer.outbox.clear()
    this.#socket?.close()
  }

  sendPacket(packet: Buffer, host: string, port: number): void {
    this.counters.packetsSent += 1
    this.counters.bytesSent += packet.length
    this.#socket?.send(packet, host, port)
  }

  flushSoon(link: QuicLink): void {
    this.#dirty.add(link)
    if (this.#isFlushing) return
    this.#isFlushing = true
    setImmediate(this.#flushDirty) // after all packets of this turn: one flush for them together
  }

  datagramReceived(bytes: Uint8Array, from: string): void {
    this.#handlers.datagramReceived(bytes, from)
  }

  frameReceived(payload: Uint8Array, from: string): void {
    this.#handlers.frameReceived(payload, from)
  }

  sessionOpened(session: BiSession): void {
    this.#handlers.sessionOpened(session)
  }

  trusts(link: QuicLink): boolean {
    const identity = this.#identity
    return link.identity === identity || identity.trusts(link.peerChain, this.clock.nowMs())
  }

  linkOpened(link: QuicLink): void {
    if (link.role === 'server') this.#strangers -= 1
    const peer = this.#peers.of(link.address)
    if (peer !== undefined) peer.adopt(link)
  }

  linkClosed(link: QuicLink, error: TransportError): void {
    if (link.role === 'server' && !link.wasOpen) this.#strangers -= 1
    this.#links.delete(link.id)
    if (link.firstId !== undefined) this.#links.delete(link.firstId)
    this.#dirty.delete(link)
    if (!link.wasOpen) this.counters.connectsFailed += 1
    const peer = this.#peers.known(link.address)
    if (peer?.link === link) peer.lost(error, this.clock.monotonicMs())
  }

  /** One each turn: a chain takes milliseconds to check, and there may be a thousand. */
  async #dropDistrusted(): Promise<void> {
    for (const link of new Set(this.#links.values())) {
      if (link.isOpen && !this.trusts(link)) this.#distrust(link)
      await nextTurn()
    }
  }

  /** A peer that has new files already takes at once what waits for it. */
  #distrust(link: QuicLink): void {
    const peer = this.#peers.known(link.address)
    const isInUse = peer?.link === link
    if (isInUse) peer.release()
    link.close(distrusted(link.address))
    if (isInUse && !peer.outbox.isEmpty) this.#ensureLink(peer)
  }

  /** The peer, with a connection that is there or being made; undefined: not now. */
  #reachable(to: string): QuicPeer | undefined {
    if (this.#isClosed) return undefined
    const peer = this.#peers.of(to)
    if (peer === undefined || this.#ensureLink(peer) !== undefined) return undefined
    if (peer.link?.isOpen) this.flushSoon(peer.link)
    return peer
  }

  #cannotReach(to: string): TransportError {
    if (this.#isClosed) return closedError()
    if (parseSocketAddress(to) === undefined) return addressBad(to)
    return new TransportError('transport.too_many', {
      what: 'this node keeps as many peers as it may',
      values: { peers: this.#peers.size },
    })
  }

  /** Dials unless there is a link. @returns why it cannot be dialled now */
  #ensureLink(peer: QuicPeer): TransportError | undefined {
    if (peer.link !== undefined) return undefined
    const refusal = peer.refusal(this.clock.monotonicMs())
    if (refusal !== undefined) return refusal
    const id = randomBytes(CONNECTION_ID_BYTES)
    const local = this.#local()
    const remote = { host: peer.host, port: peer.port }
    const { Connection } = this.quiche
    const connection = Connection.connect(null, id, local, remote, this.#identity.client)
    peer.link = this.#newLink({ connection, role: 'client', ...remote, id })
    this.flushSoon(peer.link)
    return undefined
  }

  #local(): { host: string; port: number } {
    return { host: this.#socket?.host ?? '', port: this.#socket?.port ?? 0 }
  }

  #newLink(init: {
    readonly connection: ConstructorParameters<typeof QuicLink>[0]['connection']
    readonly role: 'server' | 'client'
    readonly host: string
    readonly port: number
    readonly id: Buffer
    readonly firstId?: string
  }): QuicLink {
    const { host, port, firstId } = init
    const id = init.id.toString('latin1')
    const address = formatSocketAddress(host, port)
    const local = this.#local()
    const identity = this.#identity
    const link = new QuicLink({ ...init, owner: this, identity, address, id, firstId, local })
    this.#links.set(id, link)
    if (firstId !== undefined) this.#links.set(firstId, link)
    return link
  }

  async #opened(
    peer: QuicPeer,
    deadlineMs: number,
    signal: AbortSignal | undefined,
  ): Promise<QuicLink> {
    using deadline = startDeadline(`connecting to ${peer.address}`, deadlineMs, {
      signal,
      clock: this.clock,
    })
    // The dial goes on for others that wait for it, with a deadline of its own.
    return await peer.opened(deadline.signal)
  }

  #receive(packet: Buffer, from: RemoteInfo): void {
    if (this.#isClosed) return
    this.counters.packetsReceived += 1
    this.counters.bytesReceived += packet.length
    const link = this.#linkOf(packet, from)
    if (link === undefined) this.counters.packetsIgnored += 1
    else link.receivePacket(packet)
  }

  /** By its connection id, which a short header has in a known place (RFC 9000, section 17.3). */
  #linkOf(packet: Buffer, from: RemoteInfo): QuicLink | undefined {
    // Port 0 is a forger's: nothing can be sent there.
    if (packet.length < 1 + CONNECTION_ID_BYTES || from.port === 0) return undefined
    if (((packet[0] ?? 0) & LONG_HEADER) === 0) {
      const link = this.#links.get(packet.toString('latin1', 1, 1 + CONNECTION_ID_BYTES))
      return link?.isFrom(from.address, from.port) ? link : undefined
    }
    return this.#linkOfHandshake(packet, from)
  }

  #linkOfHandshake(packet: Buffer, from: RemoteInfo): QuicLink | undefined {
    const header = this.#headerOf(packet)
    if (header === undefined) return undefined
    const to = Buffer.from(header.dcid).toString('latin1')
    const known = this.#links.get(to)
    if (known !== undefined) return known.isFrom(from.address, from.port) ? known : undefined
    const isFirst =
      header.ty === this.quiche.Type.Initial &&
      packet.length >= this.quiche.MIN_CLIENT_INITIAL_LEN &&
      this.quiche.versionIsSupported(header.version)
    const isFull = this.#strangers >= STRANGERS_MAX || this.#links.size >= 2 * LINKS_MAX
    return isFirst && !isFull ? this.#accept(to, from) : undefined
  }

  #headerOf(packet: Buffer) {
    try {
      return this.quiche.Header.fromSlice(packet, CONNECTION_ID_BYTES)
    } catch {
      return undefined // no QUIC: it is counted as ignored
    }
  }

  #accept(firstId: string, from: RemoteInfo): QuicLink | undefined {
    const id = randomBytes(CONNECTION_ID_BYTES)
    const remote = { host: from.address, port: from.port }
    try {
      const { Connection } = this.quiche
      const connection = Connection.accept(id, null, this.#local(), remote, this.#identity.server)
      this.#strangers += 1
      return this.#newLink({ connection, role: 'server', ...remote, id, firstId })
    } catch {
      return undefined // an address that quiche cannot read: one with a zone
    }
  }

  #flushAll(): void {
    const links = [...this.#dirty]
    this.#dirty.clear()
    this.#isFlushing = false
    for (const link of links) link.flush()
  }

  #scheduleHousekeeping(): void {
    this.#housekeeping = this.clock.setTimer(() => {
      this.#scheduleHousekeeping()
      this.#keepHouse(this.clock.monotonicMs())
    }, HOUSEKEEPING_MS)
  }

  #keepHouse(nowMs: number): void {
    for (const link of new Set(this.#links.values())) this.#tendLink(link, nowMs)
    this.#peers.forgetIdle(nowMs)
  }

  #tendLink(link: QuicLink, nowMs: number): void {
    for (const session of link.sessions) {
      if (nowMs - session.openedAtMs > SESSION_MS_MAX) session.reset()
    }
    const isLate = !link.isOpen && nowMs - link.startedAtMs > this.#connectDeadlineMs
    const isSilent =
      link.unansweredSinceMs >= 0 &&
      nowMs - Math.max(link.unansweredSinceMs, link.lastReceivedAtMs) > this.#silenceMs
    if (isLate || isSilent) {
      link.close(
        new TransportError('transport.unreachable', {
          what: 'a peer does not answer',
          values: { peer: link.address },
        }),
      )
    } else if (link.isOpen && nowMs - link.usedAtMs < WARM_MS) {
      if (nowMs - link.lastReceivedAtMs > KEEP_ALIVE_MS) link.keepAlive()
    }
  }
}
