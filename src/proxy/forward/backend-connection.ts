import { type Channel, INPUT_MARGIN, input } from '../net/channel.ts'
import { BROKEN, PEER_ENDED, READABLE, type Watcher, WRITABLE } from '../net/event-loop.ts'
import { EAGAIN } from '../net/libc.ts'
import type { Memory } from '../net/memory.ts'
import { Outbox } from '../net/outbox.ts'
import type { LeaseResult } from '../route.ts'
import type { BackendOwner } from './backend-owner.ts'

/** Who has a connection to a machine: an user, or a raw connection until its tunnel stands. */
export interface BackendUser {
  /** False: it takes nothing now. */
  readonly takesResponse: boolean
  /** What is sent before the machine took the connection may be sent to another, whatever became of it. */
  readonly isRepeatable: boolean
  connected(backend: BackendConnection): void
  /** No byte reached the machine. */
  connectFailed(backend: BackendConnection, result: LeaseResult, code: string): void
  /** What was sent has gone: there is room again. */
  backendDrained(): void
  /** memory[start, end) came; holds during the call only. */
  responseBytes(memory: Memory, start: number, end: number): void
  /** 0: the machine ended its direction; else the negated errno. */
  backendEnded(result: number): void
  responseFlush(): void
}

/** Reads of one connection before others have their turn. */
const READS_PER_TURN = 4

/** How one kind of connection comes about, and what becomes of it after an exchange. */
export interface BackendKind {
  /** What the channel said while connecting. @returns undefined: nothing yet; '' connected; else a code. */
  connectResult(flags: number): string | undefined
  /** An exchange on it ended in order. */
  ended(connection: BackendConnection): void
  /** It has no user, and ended or spoke. */
  disturbed(connection: BackendConnection): void
}

/** One connection to a machine: connecting, then serving one exchange at a time, or idle in the pool. */
export class BackendConnection implements Watcher {
  readonly #owner: BackendOwner
  readonly channel: Channel
  readonly outbox: Outbox
  readonly #kind: BackendKind
  readonly isRemote: boolean
  user: BackendUser | undefined
  /** It may have died before this exchange without anybody's noticing: it was idle, or its path is broken. */
  isDoubtful = false
  idleSinceMs = 0
  isConnecting = true
  isClosed = false
  #isReadable = false
  #isEnding = false

  /** The machine has ended its direction already: of no use to others. */
  get isEnding(): boolean {
    return this.#isEnding
  }

  /**
   * @param isRemote over the backhaul: what is sent before it is connected goes out, for the other end holds it; and
   *   the other end's deadlines count, which may be those of a start
   */
  constructor(owner: BackendOwner, channel: Channel, kind: BackendKind, isRemote = false) {
    this.#owner = owner
    this.channel = channel
    this.outbox = new Outbox(channel, owner.backendStage, owner.waiting, isRemote)
    this.#kind = kind
    this.isRemote = isRemote
  }

  ready(flags: number): void {
    if (this.isClosed) return
    if (this.isConnecting && !this.#finishConnect(flags)) return
    if (flags & PEER_ENDED) this.#isEnding = true
    if (flags & (READABLE | BROKEN | PEER_ENDED)) this.#isReadable = true
    if (flags & WRITABLE && this.outbox.isFull) this.#drain()
    if (this.user === undefined) {
      if (this.#isReadable) this.#kind.disturbed(this) // its end, or bytes nobody asked for
      return
    }
    this.pump()
  }

  #finishConnect(flags: number): boolean {
    const code = this.#kind.connectResult(flags)
    if (code === undefined) return false
    if (code !== '') {
      this.user?.connectFailed(this, 'connect-failed', code)
      return false
    }
    this.established()
    return !this.isClosed
  }

  /** The machine took it. */
  established(): void {
    this.isConnecting = false
    this.outbox.isOpen = true
    this.user?.connected(this)
  }

  /** The exchange on it ended in order. HOT. */
  give(): void {
    this.user = undefined
    this.#kind.ended(this)
  }

  #drain(): void {
    if (this.outbox.drain()) this.user?.backendDrained()
    else if (this.outbox.isBroken) this.#isReadable = true // an early answer may still be there
  }

  /** Reads as long as the user takes it. Also called by it when it takes more again. */
  pump(): void {
    let reads = 0
    while (this.#isReadable && this.user?.takesResponse === true) {
      if (reads === READS_PER_TURN) {
        this.user.responseFlush()
        this.#owner.loop.again(this)
        return
      }
      reads += 1
      const count = this.channel.receive()
      if (count === EAGAIN) {
        this.#isReadable = false
        break
      }
      if (count <= 0) {
        this.#isReadable = false
        this.user.backendEnded(count)
        break
      }
      if (!this.channel.hasMore && !this.#isEnding) this.#isReadable = false
      this.user.responseBytes(input, INPUT_MARGIN, INPUT_MARGIN + count)
    }
    this.user?.responseFlush()
  }

  close(isAbort = false): void {
    if (this.isClosed) return
    this.isClosed = true
    this.user = undefined
    this.outbox.dispose()
    this.channel.close(this.#owner.loop, isAbort)
    this.#owner.counters.backendsOpen -= 1
  }
}
