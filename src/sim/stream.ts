/**
 * Reliable, ordered streams of messages between two nodes, as TCP gives them to a program.
 *
 * - connect: one round trip. Nobody listens: `reset('refused')`. Unreachable: `reset('timed out')`.
 * - offer: arrives once, in order, or the stream is reset. Loss and short cuts only cost time
 *   (retransmission, with backoff). What is in flight is bounded: a full window refuses.
 * - close: the peer gets what was offered before, then `closed`. It closes both directions: data
 *   in flight towards the closer is lost, as with close(2).
 * - The peer's process dies: `reset('reset by peer')` after one latency. Its machine dies: silence,
 *   until data has waited `streamTimeoutMs` (`timed out`) or meets the machine's next boot.
 * - An end that never sends never learns that the other is gone: keep-alives are the protocol's job.
 *
 * Acknowledgements take no time, but they need the way back: where only that is cut, data still
 * arrives, and the sender times out.
 */
import { SystemFault } from './errors.ts'
import { SimEvent } from './event-queue.ts'
import type { CrashKind, Incarnation } from './kernel.ts'
import { Counter } from './links.ts'
import type { Network } from './network.ts'
import { isolatePayload } from './payload.ts'
import { Trace } from './timeline.ts'

const RETRY_MS_MIN = 200
const RETRY_MS_MAX = 1_000

export type ResetReason = 'refused' | 'reset by peer' | 'timed out'

/** One end of a stream. */
export interface Stream {
  /** Id of the node at the other end. */
  readonly peer: string
  readonly isOpen: boolean
  /** @returns false, with nothing taken: not open, or the window is full (then await `drained`). */
  offer(message: unknown): boolean
  /** Graceful: after what was offered. May be called twice. */
  close(): void
  /** At once; what is in flight is lost. May be called twice. */
  reset(): void
}

export interface StreamHandlers {
  opened?(stream: Stream): void
  received?(message: unknown, stream: Stream): void
  /** After an `offer` was refused: there is room again. */
  drained?(stream: Stream): void
  closed?(stream: Stream): void
  reset?(reason: ResetReason, stream: Stream): void
}

/** Called for each connection; returns what the new end does. */
export type StreamAcceptor = (stream: Stream) => StreamHandlers

type FrameKind = 'connect' | 'accept' | 'message' | 'close'

interface Frame {
  readonly kind: FrameKind
  readonly message: unknown
  readonly bytes: number
  readonly arriveAtMs: number
}

type State = 'connecting' | 'open' | 'closing' | 'closed'

export class StreamEnd implements Stream {
  readonly peer: string
  handlers: StreamHandlers = {}
  other: StreamEnd | null = null
  readonly #transport: StreamTransport
  readonly #owner: Incarnation
  readonly #peerIndex: number
  readonly #port: number
  #state: State = 'connecting'
  readonly #frames: Frame[] = []
  #inFlightBytes = 0
  #unackedMessages = 0
  #unackedBytes = 0
  #isRefusing = false
  #stalledSinceMs = -1
  #retryMs = RETRY_MS_MIN
  readonly #die = (kind: CrashKind) => this.#ownerDied(kind)

  constructor(transport: StreamTransport, owner: Incarnation, peerIndex: number, port: number) {
    this.#transport = transport
    this.#owner = owner
    this.#peerIndex = peerIndex
    this.#port = port
    this.peer = transport.network.host(peerIndex).id
    owner.atDeath.add(this.#die)
  }

  get isOpen(): boolean {
    return this.#state === 'open' && this.#owner.isAlive
  }

  get #isGone(): boolean {
    return this.#state === 'closed' || !this.#owner.isAlive
  }

  offer(message: unknown): boolean {
    if (!this.isOpen) return false
    const { options } = this.#transport.network
    const bytes = this.#transport.network.bytesOf(message)
    const isFull =
      this.#frames.length + this.#unackedMessages >= options.streamWindowMessages ||
      this.#inFlightBytes + this.#unackedBytes + bytes > options.streamWindowBytes
    if (isFull) {
      this.#isRefusing = true
      return false
    }
    this.#push('message', options.freezePayloads ? isolatePayload(message) : message, bytes)
    return true
  }

  close(): void {
    if (this.#state === 'connecting') this.reset()
    if (this.#state !== 'open') return
    this.#state = 'closing'
    this.#push('close', undefined, 0)
  }

  reset(): void {
    if (this.#isGone) return
    this.#transport.sendReset(this, this.other)
    this.#finish()
  }

  /** The first frame of the end that connects. */
  connect(): void {
    this.#push('connect', undefined, 0)
  }

  /** The end that a listener got: open from birth, and says so. */
  accept(handlers: StreamHandlers): void {
    this.handlers = handlers
    this.#state = 'open'
    this.#push('accept', undefined, 0)
  }

  get route(): { from: number; to: number } {
    return { from: this.#owner.nodeIndex, to: this.#peerIndex }
  }

  #push(kind: FrameKind, message: unknown, bytes: number): void {
    const { network } = this.#transport
    const { from, to } = this.route
    const { kernel } = network
    const delayMs = network.delayMs(from, to, bytes)
    const arriveAtMs = kernel.nowMs + delayMs // or when the frame ahead of it has arrived
    this.#frames.push({ kind, message, bytes, arriveAtMs })
    this.#inFlightBytes += bytes
    const row = network.links.row(from)
    row.count(to, Counter.sent, 1)
    row.count(to, Counter.sentBytes, bytes)
    kernel.record(Trace.sent, from, to, kind === 'message' ? message : `stream ${kind}`)
    if (this.#frames.length === 1) this.#schedule(arriveAtMs)
  }

  #schedule(atMs: number): void {
    const { kernel } = this.#transport.network
    kernel.queue.push(new StreamEvent(() => this.#pump()), Math.max(atMs, kernel.nowMs))
  }

  /** The frame ahead of all others is due. */
  #pump(): void {
    const frame = this.#frames[0]
    if (frame === undefined || this.#isGone) return
    const { network } = this.#transport
    const { from, to } = this.route
    const target = network.host(to).incarnation
    if (network.links.isCut(from, to) || target === null || this.#isLost()) {
      this.#stall()
      return
    }
    if (target.resumeAtMs > network.kernel.nowMs) {
      this.#schedule(target.resumeAtMs)
      return
    }
    this.#frames.shift()
    this.#inFlightBytes -= frame.bytes
    this.#acknowledge(frame.bytes)
    const next = this.#frames[0]
    if (next !== undefined) this.#schedule(next.arriveAtMs)
    this.#deliver(frame, target)
    if (frame.kind === 'close') this.#finish()
    else this.#announceRoom()
  }

  #isLost(): boolean {
    const { network } = this.#transport
    const { from, to } = this.route
    const loss = Math.max(network.links.settings(from, to).lossRatio, network.faults.lossRatio)
    return network.strikes(from, loss)
  }

  /** Nothing came through: try again later, each time later, until the stream times out. */
  #stall(): void {
    const { kernel, options } = this.#transport.network
    if (this.#stalledSinceMs < 0) this.#stalledSinceMs = kernel.nowMs
    if (kernel.nowMs - this.#stalledSinceMs >= options.streamTimeoutMs) {
      this.#fail('timed out')
      return
    }
    this.#schedule(kernel.nowMs + this.#retryMs)
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX)
  }

  #acknowledge(bytes: number): void {
    const { network } = this.#transport
    const { from, to } = this.route
    if (!network.links.isCut(to, from)) {
      this.#stalledSinceMs = -1
      this.#retryMs = RETRY_MS_MIN
      return
    }
    this.#unackedBytes += bytes
    this.#unackedMessages += 1
    if (this.#unackedMessages === 1) {
      if (this.#stalledSinceMs < 0) this.#stalledSinceMs = network.kernel.nowMs
      this.#awaitAcknowledgement()
    }
  }

  #awaitAcknowledgement(): void {
    const { network } = this.#transport
    const { kernel, options } = network
    const check = () => {
      if (this.#isGone) return
      if (!network.links.isCut(this.#peerIndex, this.#owner.nodeIndex)) {
        this.#unackedBytes = 0
        this.#unackedMessages = 0
        this.#stalledSinceMs = -1
        this.#announceRoom()
      } else if (kernel.nowMs - this.#stalledSinceMs >= options.streamTimeoutMs) {
        this.#fail('timed out')
      } else {
        this.#awaitAcknowledgement()
      }
    }
    kernel.queue.push(new StreamEvent(check), kernel.nowMs + RETRY_MS_MIN)
  }

  #announceRoom(): void {
    if (!this.#isRefusing || !this.isOpen) return
    this.#isRefusing = false
    this.#call(() => this.handlers.drained?.(this))
  }

  #deliver(frame: Frame, target: Incarnation): void {
    const { from, to } = this.route
    if (frame.kind === 'connect') {
      this.#transport.accept(this, target, this.#port)
      return
    }
    const other = this.other
    if (other === null || other.#isGone || other.#owner !== target) {
      this.#transport.sendReset(null, this) // the machine knows no such stream (any more)
      return
    }
    const { kernel, links } = this.#transport.network
    links.row(from).count(to, Counter.received, 1)
    kernel.record(Trace.received, to, from, frame.kind === 'message' ? frame.message : frame.kind)
    other.#arrived(frame)
  }

  #arrived(frame: Frame): void {
    if (frame.kind === 'accept' && this.#state === 'connecting') {
      this.#state = 'open'
      this.#call(() => this.handlers.opened?.(this))
    } else if (frame.kind === 'message' && this.#state === 'open') {
      this.#call(() => this.handlers.received?.(frame.message, this))
    } else if (frame.kind === 'close') {
      this.#finish()
      this.#call(() => this.handlers.closed?.(this))
    }
  }

  /** A reset reached this end, or it gave up. */
  arriveReset(reason: ResetReason): void {
    if (!this.#isGone) this.#fail(reason)
  }

  #fail(reason: ResetReason): void {
    const { kernel } = this.#transport.network
    kernel.record(Trace.stream, this.#owner.nodeIndex, this.#peerIndex, `reset: ${reason}`)
    this.#finish()
    this.#call(() => this.handlers.reset?.(reason, this))
  }

  #call(handler: () => void): void {
    const { kernel } = this.#transport.network
    kernel.running = this.#owner
    if (this.#owner.resumeAtMs > kernel.nowMs) {
      kernel.queue.push(new StreamEvent(() => this.#call(handler)), this.#owner.resumeAtMs)
    } else if (this.#owner.isAlive) handler()
  }

  #ownerDied(kind: CrashKind): void {
    if (kind === 'process' && this.#state !== 'closed') this.#transport.sendReset(this, this.other)
    this.#finish()
  }

  #finish(): void {
    this.#state = 'closed'
    this.#frames.length = 0
    this.#owner.atDeath.delete(this.#die)
  }
}

/** Something of a stream that is due; streams are rarer than datagrams, so a closure will do. */
class StreamEvent extends SimEvent {
  readonly #run: () => void

  constructor(run: () => void) {
    super()
    this.#run = run
  }

  fire(): void {
    this.#run()
  }
}

/** The listeners of all nodes, and the resets on their way. */
export class StreamTransport {
  readonly network: Network
  readonly #listeners = new Map<string, StreamAcceptor>()

  constructor(network: Network) {
    this.network = network
  }

  listen(owner: Incarnation, port: number, accept: StreamAcceptor): Disposable {
    const key = `${owner.nodeIndex}:${port}`
    if (this.#listeners.has(key)) throw new SystemFault('EADDRINUSE', 'listen', String(port))
    this.#listeners.set(key, accept)
    const stop = () => {
      if (this.#listeners.get(key) === accept) this.#listeners.delete(key)
      owner.atDeath.delete(stop)
    }
    owner.atDeath.add(stop)
    return { [Symbol.dispose]: stop }
  }

  connect(owner: Incarnation, to: string, port: number, handlers: StreamHandlers): Stream {
    const target = this.network.find(to)
    if (target === undefined) throw new SystemFault('EHOSTUNREACH', 'connect', to)
    const end = new StreamEnd(this, owner, target.index, port)
    end.handlers = handlers
    end.connect()
    return end
  }

  accept(caller: StreamEnd, target: Incarnation, port: number): void {
    const accept = this.#listeners.get(`${target.nodeIndex}:${port}`)
    if (accept === undefined) {
      this.sendReset(null, caller, 'refused')
      return
    }
    const end = new StreamEnd(this, target, caller.route.from, port)
    end.other = caller
    caller.other = end
    this.network.kernel.running = target
    end.accept(accept(end))
  }

  /** One message, once: lost where the way is cut. `from` null: the target's machine answers. */
  sendReset(
    from: StreamEnd | null,
    to: StreamEnd | null,
    reason: ResetReason = 'reset by peer',
  ): void {
    if (to === null) return
    const back = to.route
    const { kernel, links } = this.network
    const delayMs = this.network.delayMs(back.to, back.from, 0)
    kernel.record(Trace.stream, back.to, back.from, from === null ? reason : 'reset')
    const arrive = () => {
      if (!links.isCut(back.to, back.from)) to.arriveReset(reason)
    }
    kernel.queue.push(new StreamEvent(arrive), kernel.nowMs + delayMs)
  }
}
