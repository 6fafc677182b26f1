import { type Clock, startDeadline } from '#base'
import { FrameReader } from '../wire/frame.ts'
import { closedError, TransportError } from './errors.ts'
import { Outbox } from './outbox.ts'
import { SessionEnd, type SessionPipe, sessionReset } from './session-end.ts'
import {
  type BiSession,
  CONNECT_DEADLINE_MS,
  DATAGRAM_BYTES_MAX,
  newCounters,
  type Transport,
  type TransportHandlers,
  type WaitOptions,
} from './transport.ts'

/**
 * The network under a transport without sockets: that of a node of `#sim`, which loses, delays and cuts,
 * or any other of this shape.
 */
export interface MemoryNetwork {
  send(to: string, payload: unknown, port?: number): void
  bind(handler: (payload: unknown, from: string) => void, port?: number): Disposable
  connect(to: string, handlers: StreamHandlers, port?: number): MemoryStream
  listen(accept: (stream: MemoryStream) => StreamHandlers, port?: number): Disposable
}

/** Ordered messages to one peer and back. `offer` gives false when its window is full. */
export interface MemoryStream {
  readonly peer: string
  readonly isOpen: boolean
  offer(message: unknown): boolean
  close(): void
  reset(): void
}

interface StreamHandlers {
  opened?(stream: MemoryStream): void
  received?(message: unknown, stream: MemoryStream): void
  drained?(stream: MemoryStream): void
  closed?(stream: MemoryStream): void
  reset?(reason: string, stream: MemoryStream): void
}

export interface MemoryTransportOptions {
  /** The node's name in the network, which is its address. */
  readonly address: string
  readonly network: MemoryNetwork
  readonly clock: Clock
  readonly handlers: TransportHandlers
  /** @default 0, unknown to the memory */
  readonly rttMs?: (to: string) => number | undefined
}

const FRAMES_PORT = 1
const SESSIONS_PORT = 2
/** Of a session, each way: what its owner does not read stays with the sender. */
const WINDOW_BYTES = 256 * 1024

/** A Transport over messages that are passed by reference: for tests, and for the simulator. */
export class MemoryTransport implements Transport {
  readonly address: string
  readonly counters = newCounters()
  readonly #init: MemoryTransportOptions
  readonly #peers = new Map<string, FramePipe>()
  readonly #sessions = new Set<MemoryPipe>()
  readonly #bound: readonly Disposable[]
  #isClosed = false

  constructor(init: MemoryTransportOptions) {
    this.address = init.address
    this.#init = init
    const { network } = init
    this.#bound = [
      network.bind((payload, from) => this.#datagramReceived(payload, from)),
      network.listen((stream) => this.#acceptFrames(stream), FRAMES_PORT),
      network.listen((stream) => this.#acceptSession(stream), SESSIONS_PORT),
    ]
  }

  sendDatagram(to: string, bytes: Uint8Array): boolean {
    if (this.#isClosed || bytes.length > DATAGRAM_BYTES_MAX) {
      this.counters.datagramsDropped += 1
      return false
    }
    this.#countSent(bytes.length)
    this.counters.datagramsSent += 1
    this.#init.network.send(to, bytes)
    return true
  }

  sendUni(to: string, frame: Uint8Array): boolean {
    if (this.#isClosed) {
      this.counters.framesDropped += 1
      return false
    }
    const pipe = this.#peers.get(to) ?? this.#connectFrames(to)
    const isTaken = pipe.outbox.offerFrame(frame)
    pipe.flush()
    return isTaken
  }

  async openBi(to: string, options: WaitOptions = {}): Promise<BiSession> {
    if (this.#isClosed) throw closedError()
    const { deadlineMs = CONNECT_DEADLINE_MS, signal } = options
    signal?.throwIfAborted()
    using deadline = startDeadline(`connecting to ${to}`, deadlineMs, {
      signal,
      clock: this.#init.clock,
    })
    const pipe = this.#newPipe(to)
    pipe.stream = this.#init.network.connect(to, pipe.handlers, SESSIONS_PORT)
    await pipe.opened(deadline.signal)
    this.counters.sessionsOpened += 1
    return pipe.session
  }

  rttMs(to: string): number | undefined {
    return this.#init.rttMs?.(to)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const bound of this.#bound) bound[Symbol.dispose]()
    for (const pipe of this.#sessions) pipe.session.fail(closedError())
    for (const pipe of this.#peers.values()) pipe.drop()
    this.#peers.clear()
  }

  #countSent(bytes: number): void {
    this.counters.packetsSent += 1
    this.counters.bytesSent += bytes
  }

  #countReceived(message: unknown): Uint8Array {
    const bytes = message instanceof Uint8Array ? message : EMPTY
    this.counters.packetsReceived += 1
    this.counters.bytesReceived += bytes.length
    return bytes
  }

  #datagramReceived(payload: unknown, from: string): void {
    const bytes = this.#countReceived(payload)
    this.counters.datagramsReceived += 1
    this.#init.handlers.datagramReceived(bytes, from)
  }

  #connectFrames(to: string): FramePipe {
    const pipe = new FramePipe(new Outbox(this.counters), (bytes) => {
      this.#countSent(bytes)
      this.counters.framesSent += 1
    })
    this.#peers.set(to, pipe)
    const lost = () => {
      if (this.#peers.get(to) === pipe) this.#peers.delete(to)
      pipe.drop()
    }
    const flush = () => pipe.flush()
    const handlers = { opened: flush, drained: flush, closed: lost, reset: lost }
    try {
      pipe.stream = this.#init.network.connect(to, handlers, FRAMES_PORT)
    } catch {
      lost() // the network has no such node: as one that is down, its frames are dropped and counted
    }
    return pipe
  }

  #acceptFrames(stream: MemoryStream): StreamHandlers {
    const reader = new FrameReader()
    return {
      received: (message) => {
        reader.push(this.#countReceived(message))
        for (;;) {
          const payload = this.#frameOf(reader, stream)
          if (payload === undefined) return
          this.counters.framesReceived += 1
          this.#init.handlers.frameReceived(payload, stream.peer)
        }
      },
    }
  }

  /** undefined: no whole frame, or none ever: then the stream is given up. */
  #frameOf(reader: FrameReader, stream: MemoryStream): Uint8Array | undefined {
    try {
      return reader.next()
    } catch {
      this.counters.streamsRefused += 1
      stream.reset()
      return undefined
    }
  }

  #acceptSession(stream: MemoryStream): StreamHandlers {
    const pipe = this.#newPipe(stream.peer)
    pipe.stream = stream
    this.counters.sessionsAccepted += 1
    this.#init.handlers.sessionOpened(pipe.session)
    return pipe.handlers
  }

  #newPipe(peer: string): MemoryPipe {
    const pipe = new MemoryPipe(peer, this.#init.clock, {
      sent: (bytes) => this.#countSent(bytes),
      received: (message) => this.#countReceived(message),
      ended: () => this.#sessions.delete(pipe),
    })
    this.#sessions.add(pipe)
    return pipe
  }
}

/** The frames to one peer, as far as its stream takes them. */
class FramePipe {
  readonly outbox: Outbox
  stream: MemoryStream | undefined
  readonly #sent: (bytes: number) => void
  #next: Uint8Array | undefined

  constructor(outbox: Outbox, sent: (bytes: number) => void) {
    this.outbox = outbox
    this.#sent = sent
  }

  flush(): void {
    while (this.stream?.isOpen) {
      this.#next ??= this.outbox.pollFrame()
      if (this.#next === undefined || !this.stream.offer(this.#next)) return
      this.#sent(this.#next.length)
      this.#next = undefined
    }
  }

  drop(): void {
    if (this.#next !== undefined) this.outbox.offerFrame(this.#next)
    this.#next = undefined
    this.outbox.clear()
    this.stream?.reset()
  }
}

interface PipeOwner {
  sent(bytes: number): void
  received(message: unknown): Uint8Array
  ended(): void
}

/** Grants the other end so many bytes more. */
interface Credit {
  readonly credit: number
}

/** A session's bytes over one stream, with a window of its own: the reader grants what it has taken. */
class MemoryPipe implements SessionPipe {
  readonly session: SessionEnd
  readonly handlers: StreamHandlers
  stream: MemoryStream | undefined
  readonly #owner: PipeOwner
  readonly #arrived: Uint8Array[] = []
  readonly #opened = Promise.withResolvers<void>()
  #window = WINDOW_BYTES
  #hasPeerEnded = false

  constructor(peer: string, clock: Clock, owner: PipeOwner) {
    this.#owner = owner
    this.session = new SessionEnd(peer, this, clock)
    this.#opened.promise.catch(() => undefined) // told through `session` when nobody waits here
    this.handlers = {
      opened: () => this.#opened.resolve(),
      received: (message) => this.#receive(message),
      drained: () => this.session.pipeMoved(),
      closed: () => this.#lost('the peer closed it'),
      reset: (reason) => this.#lost(reason),
    }
  }

  /** @throws TransportError transport.unreachable, or the signal's reason; the session is then over. */
  opened(signal: AbortSignal): Promise<void> {
    const onAbort = () => {
      this.#opened.reject(signal.reason)
      this.session.fail(signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    return this.#opened.promise.finally(() => signal.removeEventListener('abort', onAbort))
  }

  read(): Uint8Array | undefined | null {
    const chunk = this.#arrived.shift()
    if (chunk === undefined) return this.#hasPeerEnded ? null : undefined
    this.stream?.offer({ credit: chunk.length } satisfies Credit)
    return chunk
  }

  write(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, this.#window)
    if (taken === 0 || !this.stream?.offer(bytes.subarray(0, taken))) return 0
    this.#window -= taken
    this.#owner.sent(taken)
    return taken
  }

  finish(): void {
    this.stream?.offer(null)
  }

  reset(): void {
    this.#owner.ended()
    this.#arrived.length = 0
    this.stream?.reset()
  }

  #receive(message: unknown): void {
    if (message === null) this.#hasPeerEnded = true
    else if (message instanceof Uint8Array) this.#arrived.push(this.#owner.received(message))
    else this.#window += (message as Credit).credit
    this.session.pipeMoved()
  }

  #lost(reason: string): void {
    this.#opened.reject(
      new TransportError('transport.unreachable', {
        what: 'a peer cannot be reached',
        values: { peer: this.session.peer, reason },
      }),
    )
    this.session.fail(sessionReset(reason))
    this.#owner.ended()
  }
}

const EMPTY = new Uint8Array()
