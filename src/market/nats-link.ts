import {
  connect,
  type Msg,
  type NatsConnection,
  nkeyAuthenticator,
  type Subscription,
} from '@nats-io/transport-node'
import {
  type Backoff,
  backoffMs,
  type Clock,
  type Log,
  type Random,
  systemClock,
  systemRandom,
} from '#base'
import { MarketError } from './errors.ts'

const CONNECT_TIMEOUT_MS = 5_000
/** A peer that is gone without a word is noticed after three of these. */
const PING_PERIOD_MS = 5_000
const PINGS_UNANSWERED_MAX = 2
const BACKOFF: Backoff = { baseMs: 100, capMs: 5_000 }
/** Source: NATS documentation, "No responders": the server's own reply, without a body. */
const NO_RESPONDERS = 503

export interface NatsLinkOptions {
  /** `nats://host:port` each, or what finds them, asked anew each time; the first that answers is taken. */
  readonly servers: readonly string[] | (() => Promise<readonly string[]>)
  /** The seed of the nkey that the server knows this process by. Secret. */
  readonly seed: string
  /** Shown in the server's list of connections. */
  readonly name: string
  readonly log: Log
  readonly backoff?: Backoff
  readonly clock?: Clock
  readonly random?: Random
}

/** A message of a subscription. `data` is valid during the call. */
export interface NatsMessage {
  readonly subject: string
  readonly reply: string | undefined
  readonly data: Uint8Array
  /** The server speaks: nobody is subscribed to what was published with this reply subject. */
  readonly isUnheard: boolean
}

/** A subscription, and what carries it while there is a connection. */
interface Listening {
  readonly subject: string
  readonly receive: Receive
  readonly queue: string | undefined
  current: Subscription | undefined
}

export type Receive = (message: NatsMessage) => void

/**
 * A connection to NATS that is made anew, with backoff and jitter, whenever it is lost, and takes its
 * subscriptions along. Nothing is kept for later: what cannot be published now is an error now.
 */
export class NatsLink implements AsyncDisposable {
  readonly #options: NatsLinkOptions
  readonly #clock: Clock
  readonly #stopping = new AbortController()
  readonly #subscriptions = new Set<Listening>()
  readonly #watchers = new Set<() => void>()
  readonly #loop: Promise<void>
  #connection: NatsConnection | undefined
  #connects = 0
  /** As found last. */
  #servers: readonly string[] = []

  /** Begins to connect at once, in the background: no part waits for NATS to start. */
  constructor(options: NatsLinkOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    if (typeof options.servers !== 'function') this.#servers = options.servers
    this.#loop = this.#run()
  }

  get isConnected(): boolean {
    return this.#connection !== undefined
  }

  /**
   * The connection of this moment, for what a link does not do (JetStream). It may end at any time; ask
   * again each time.
   */
  get connection(): NatsConnection | undefined {
    return this.#connection
  }

  /** Times that a connection was made. */
  get connects(): number {
    return this.#connects
  }

  /** Calls `watcher` after every change of `isConnected`. */
  watch(watcher: () => void): Disposable {
    this.#watchers.add(watcher)
    return { [Symbol.dispose]: () => void this.#watchers.delete(watcher) }
  }

  /**
   * Lives through reconnects, until disposed.
   *
   * @param queue of all subscriptions with this name one gets a message
   */
  subscribe(subject: string, receive: Receive, queue?: string): Disposable {
    const listening: Listening = { subject, receive, queue, current: undefined }
    this.#subscriptions.add(listening)
    if (this.#connection !== undefined) this.#listen(this.#connection, listening)
    return {
      [Symbol.dispose]: () => {
        this.#subscriptions.delete(listening)
        listening.current?.unsubscribe() // does nothing when its connection is gone
      },
    }
  }

  /** @throws MarketError market.unavailable: not connected now. */
  publish(subject: string, payload: string, reply?: string): void {
    const connection = this.#connection
    if (connection === undefined || connection.isClosed()) {
      throw new MarketError('market.unavailable', {
        what: 'there is no connection to NATS',
        values: { servers: this.#servers },
        fix: 'it is tried again by itself; look whether a server runs there',
      })
    }
    connection.publish(subject, payload, reply === undefined ? {} : { reply })
  }

  /** Resolves when the server has processed what was sent so far. @throws when the link is lost. */
  async flush(): Promise<void> {
    await this.#connection?.flush()
  }

  /** Ends the connection for good. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Error('the link is closed'))
    await this.#connection?.close()
    await this.#loop
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const connection = await this.#dial()
      if (connection !== undefined) {
        attempt = 0
        await this.#serve(connection)
      }
      await this.#pause(attempt)
    }
  }

  /** Undefined: it failed; the log says why. */
  async #dial(): Promise<NatsConnection | undefined> {
    const { servers, seed, name, log } = this.#options
    try {
      if (typeof servers === 'function') this.#servers = await servers()
      const connection = await connect({
        servers: [...this.#servers],
        name,
        authenticator: nkeyAuthenticator(new TextEncoder().encode(seed)),
        timeout: CONNECT_TIMEOUT_MS,
        pingInterval: PING_PERIOD_MS,
        maxPingOut: PINGS_UNANSWERED_MAX,
        reconnect: false, // this class does, with jitter
        ignoreClusterUpdates: true,
      })
      if (!this.#stopping.signal.aborted) return connection
      await connection.close()
    } catch (err) {
      log.warn({ err, servers: this.#servers }, 'cannot connect to NATS; trying again')
    }
    return undefined
  }

  /** Until the connection is lost. */
  async #serve(connection: NatsConnection): Promise<void> {
    const { log } = this.#options
    this.#connection = connection
    this.#connects += 1
    for (const listening of this.#subscriptions) this.#listen(connection, listening)
    log.info({ server: connection.getServer() }, 'connected to NATS')
    this.#tellWatchers()
    const err = await connection.closed()
    this.#connection = undefined
    if (!this.#stopping.signal.aborted) log.warn({ err }, 'lost the connection to NATS')
    this.#tellWatchers()
  }

  #listen(connection: NatsConnection, listening: Listening): void {
    const { subject, receive, queue } = listening
    listening.current = connection.subscribe(subject, {
      ...(queue === undefined ? {} : { queue }),
      callback: (err, message) => {
        if (err === null) receive(readMessage(message))
        else this.#options.log.error({ err, subject }, 'NATS does not let this process listen')
      },
    })
  }

  #tellWatchers(): void {
    for (const watcher of [...this.#watchers]) watcher()
  }

  async #pause(attempt: number): Promise<void> {
    const { backoff = BACKOFF, random = systemRandom } = this.#options
    const { signal } = this.#stopping
    try {
      await this.#clock.sleep(backoffMs(attempt, backoff, random), signal)
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }
}

function readMessage({ subject, reply, data, headers }: Msg): NatsMessage {
  const isUnheard = data.length === 0 && headers?.code === NO_RESPONDERS
  return { subject, reply: reply === '' ? undefined : reply, data, isUnheard }
}
