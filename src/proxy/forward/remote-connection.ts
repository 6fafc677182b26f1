import type { BackhaulStream } from '../backhaul/dialer.ts'
import { ResetReason } from '../backhaul/link-stream.ts'
import type { Channel } from '../net/channel.ts'
import {
  BROKEN,
  type EventLoop,
  LEAVING,
  PEER_ENDED,
  READABLE,
  type Watcher,
  WRITABLE,
} from '../net/event-loop.ts'
import { EAGAIN, ECONNRESET } from '../net/libc.ts'
import type { Memory } from '../net/memory.ts'
import { ReceivedChunks } from '../net/received-chunks.ts'
import type { ConnectionFacts, ToRemote } from '../route.ts'
import type { ClientFacts } from '../router/open-remote.ts'
import { BackendConnection, type BackendKind } from './backend-connection.ts'
import type { BackendOwner } from './backend-owner.ts'

/** What of a client goes to the other host. */
export interface RemoteClient {
  readonly connection: ConnectionFacts
  readonly serverName: string
  readonly requestId: string
}

/**
 * One stream of the backhaul as a channel. The stream's window is its flow control: what nobody reads here is not
 * granted again, and what the link cannot take waits in the outbox.
 */
class RemoteChannel implements Channel {
  readonly #loop: EventLoop
  #stream: BackhaulStream | undefined
  #watcher: Watcher | undefined
  /** Came and was not read: never more than the stream's window. */
  readonly #received = new ReceivedChunks()
  #hasEndedWrite = false
  #isFull = false
  hasMore = false

  constructor(loop: EventLoop) {
    this.#loop = loop
  }

  /** Before anything else. */
  begin(stream: BackhaulStream, watcher: Watcher): void {
    this.#stream = stream
    this.#watcher = watcher
  }

  // ---- what the link says

  came(chunk: Buffer): void {
    this.#received.push(chunk)
    this.#notify(READABLE)
  }

  peerEnded(): void {
    this.#received.hasEnded = true
    this.#notify(READABLE | PEER_ENDED)
  }

  broke(): void {
    this.#received.isBroken = true
    this.#notify(READABLE | BROKEN)
  }

  /** The worker's end is about to be ended. */
  leaving(): void {
    this.#notify(LEAVING)
  }

  drained(): void {
    this.#isFull = false
    this.#notify(WRITABLE)
  }

  #notify(flags: number): void {
    if (this.#watcher !== undefined) this.#loop.notify(this.#watcher, flags)
  }

  // ---- what its user does

  receive(): number {
    const count = this.#received.receive()
    this.hasMore = count > 0 && this.#received.hasMore
    if (count <= 0) return count
    this.#stream?.consumed(count)
    this.#loop.letNodeRun()
    return count
  }

  send(memory: Memory, offset: number, length: number): number {
    if (this.#received.isBroken || this.#stream === undefined) return ECONNRESET
    if (this.#isFull) return EAGAIN
    const bytes = Buffer.from(memory.bytes.subarray(offset, offset + length)) // the link's for good
    this.#isFull = !this.#stream.send(bytes)
    this.#loop.letNodeRun()
    return length
  }

  endWrite(): void {
    this.#hasEndedWrite = true
    this.#stream?.end()
    this.#loop.letNodeRun()
  }

  /** The exchange was whole: the worker keeps the machine's connection for another. */
  endReusable(): void {
    this.#stream?.end(true)
    this.#forget()
  }

  watchedBy(_loop: EventLoop, watcher: Watcher): void {
    this.#watcher = watcher
  }

  /** A stream that ended both ways goes by itself, once what is queued has gone. */
  close(): void {
    if (!this.#received.hasEnded || !this.#hasEndedWrite) this.#stream?.reset(ResetReason.cancelled)
    this.#forget()
  }

  #forget(): void {
    this.#stream = undefined
    this.#watcher = undefined
    this.#received.clear()
    this.#loop.letNodeRun()
  }
}

/** A connection to a machine through the proxy of its host. It serves one exchange. */
export class RemoteConnection extends BackendConnection {
  readonly #channel: RemoteChannel

  private constructor(owner: BackendOwner, channel: RemoteChannel) {
    super(owner, channel, kind, true)
    this.#channel = channel
  }

  static open(
    owner: BackendOwner,
    to: ToRemote,
    { connection: facts, serverName, requestId }: RemoteClient,
  ): RemoteConnection | undefined {
    const channel = new RemoteChannel(owner.loop)
    const connection = new RemoteConnection(owner, channel)
    const client: ClientFacts = {
      clientAddress: facts.clientAddress,
      clientPort: facts.clientPort,
      localAddress: facts.localAddress,
      tlsVersion: facts.tls?.version ?? '',
      alpn: facts.tls?.alpn ?? '',
      serverName,
      requestId,
    }
    const stream = owner.openRemote?.(to, client, {
      accepted: (_load, connectUs) => connection.#accepted(owner, connectUs),
      refused: (code) => connection.#refused(owner, code),
      data: (chunk) => channel.came(chunk),
      ended: () => channel.peerEnded(),
      reset: (reason) => connection.#reset(owner, reason),
      drained: () => channel.drained(),
      leaving: () => channel.leaving(),
    })
    if (stream === undefined) return undefined
    channel.begin(stream, connection)
    owner.loop.letNodeRun()
    return connection
  }

  #accepted(owner: BackendOwner, connectUs: number): void {
    if (this.isClosed) return
    this.isDoubtful = connectUs === 0 // idle until now
    owner.loop.enter(this, () => this.established())
  }

  /** The codes of a machine that does not listen begin with PC; all others are the worker's own word. */
  #refused(owner: BackendOwner, code: string): void {
    if (this.isClosed) return
    const result = code.startsWith('PC') ? 'connect-failed' : 'refused'
    owner.loop.enter(this, () => this.user?.connectFailed(this, result, code))
  }

  /** When the path broke, nobody knows how far the request came. */
  #reset(owner: BackendOwner, reason: ResetReason): void {
    if (this.isClosed) return
    if (this.isConnecting && this.user?.isRepeatable === true) {
      this.#refused(owner, 'PC03')
      return
    }
    if (reason === ResetReason.linkDown) this.isDoubtful = true
    this.isConnecting = false
    this.#channel.broke()
  }

  endReusable(): void {
    this.#channel.endReusable()
  }
}

const kind: BackendKind = {
  connectResult: () => undefined, // the link says it
  ended(connection) {
    if (connection instanceof RemoteConnection) connection.endReusable()
    connection.close()
  },
  disturbed: (connection) => connection.close(),
}
