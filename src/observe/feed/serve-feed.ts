import type { Socket } from 'node:net'
import type { Clock, Log } from '#base'
import type { NatsLink } from '#market'
import { type FeedAccess, type FeedAction, FeedSession } from './feed-session.ts'

export interface FeedOptions {
  readonly link: Pick<NatsLink, 'subscribe'>
  readonly clock: Clock
  readonly log: Log
  /** That clients are told of. */
  readonly port: number
  /** @default 1,000 */
  readonly clientsMax?: number
}

const CLIENTS_MAX = 1_000
const TICK_MS = 1_000
/** A client that does not take in what it asked for is cut off, as nats-server does it. */
const UNREAD_BYTES_MAX = 8 << 20

/** The log stream of organisations: serves connections that somebody else has accepted. */
export class LogFeed implements Disposable {
  readonly #options: FeedOptions
  readonly #clients = new Set<FeedClient>()
  #served = 0

  constructor(options: FeedOptions) {
    this.#options = options
  }

  get clients(): number {
    return this.#clients.size
  }

  /** Takes the socket: it is served until it ends. */
  serve(socket: Socket, access: FeedAccess): void {
    const { clientsMax = CLIENTS_MAX, port } = this.#options
    if (this.#clients.size >= clientsMax) return void socket.destroy()
    this.#served += 1
    const client = new FeedClient(socket, access, this.#options)
    this.#clients.add(client)
    socket.once('close', () => this.#clients.delete(client))
    client.begin({ port, clientId: this.#served })
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client.end()
  }
}

class FeedClient {
  readonly #socket: Socket
  readonly #session: FeedSession
  readonly #options: FeedOptions
  readonly #listening = new Map<string, Disposable>()
  #timer: Disposable | undefined
  #isParting = false

  constructor(socket: Socket, access: FeedAccess, options: FeedOptions) {
    this.#socket = socket
    this.#options = options
    this.#session = new FeedSession(access, options.clock.monotonicMs())
  }

  begin(about: { port: number; clientId: number }): void {
    const socket = this.#socket
    socket.setNoDelay(true)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => this.#forget())
    socket.on('data', (piece: Buffer) => this.#do(this.#session.receive(piece, this.#nowMs)))
    this.#do(this.#session.greet(about))
    this.#tick()
  }

  end(): void {
    this.#socket.destroy()
  }

  get #nowMs(): number {
    return this.#options.clock.monotonicMs()
  }

  #tick(): void {
    this.#timer = this.#options.clock.setTimer(() => {
      this.#do(this.#session.tick(this.#nowMs))
      if (!this.#socket.destroyed && !this.#isParting) this.#tick()
    }, TICK_MS)
  }

  #do(actions: readonly FeedAction[]): void {
    for (const action of actions) {
      if (this.#socket.destroyed) return
      if (action.kind === 'write') this.#socket.write(action.bytes)
      else if (action.kind === 'listen') this.#listen(action)
      else if (action.kind === 'unlisten') {
        this.#listening.get(action.key)?.[Symbol.dispose]()
        this.#listening.delete(action.key)
      } else {
        this.#options.log.debug({ why: action.why }, 'a client of the log stream is cut off')
        this.#part()
      }
    }
    if (this.#socket.writableLength > UNREAD_BYTES_MAX) {
      this.#options.log.debug('a client of the log stream reads too slowly')
      this.#socket.destroy()
    }
  }

  /** Lets it read why, if it does so soon. */
  #part(): void {
    this.#socket.end()
    this.#timer?.[Symbol.dispose]()
    this.#timer = this.#options.clock.setTimer(() => this.#socket.destroy(), TICK_MS)
    this.#isParting = true
  }

  #listen({ key, subject, queue }: Extract<FeedAction, { kind: 'listen' }>): void {
    const receive = (message: { readonly subject: string; readonly data: Uint8Array }) =>
      this.#do(this.#session.line(key, message.subject, message.data))
    this.#listening.set(key, this.#options.link.subscribe(subject, receive, queue))
  }

  #forget(): void {
    this.#timer?.[Symbol.dispose]()
    for (const one of this.#listening.values()) one[Symbol.dispose]()
    this.#listening.clear()
  }
}
