import { backoffMs, type Clock, type Log, type Random, systemClock, systemRandom } from '#base'
import { SubscriptionError } from '../subscriptions/errors.ts'
import { type FollowedQuery, QueryFeed } from './query-feed.ts'

export interface FollowOptions {
  /** Of an agent's HTTP API, as `http://127.0.0.1:8080`. */
  readonly url: string
  readonly bearerToken?: string
  readonly queries: readonly FollowedQuery[]
  readonly log: Log
  readonly clock?: Clock
  readonly random?: Random
}

/** Live queries of an agent, followed until disposed. */
export interface Following extends AsyncDisposable {
  /** Has each query been complete once? */
  readonly isComplete: boolean
  /** Is each query connected now? */
  readonly isConnected: boolean
}

const BACKOFF = { baseMs: 100, capMs: 2_000 }
const LINE_BYTES_MAX = 4 * 1024 * 1024

/**
 * Hands on what live queries of an agent give, over one connection each. A connection that ends is made again and
 * goes on where it was; an agent that knows its number no more is asked for everything.
 */
export function followQueries(options: FollowOptions): Following {
  const stop = new AbortController()
  const followers = options.queries.map((query) => new Follower(query, options, stop.signal))
  const ended = Promise.all(followers.map((follower) => follower.run()))
  return {
    get isComplete() {
      return followers.every(({ feed }) => feed.isComplete)
    },
    get isConnected() {
      return followers.every((follower) => follower.isConnected)
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await ended
    },
  }
}

class Follower {
  readonly feed: QueryFeed
  isConnected = false
  readonly #sql: string
  readonly #options: FollowOptions
  readonly #signal: AbortSignal
  /** Whose change numbers the feed holds. */
  #queryId: string | null = null

  constructor(query: FollowedQuery, options: FollowOptions, signal: AbortSignal) {
    this.feed = new QueryFeed(query)
    this.#sql = query.sql
    this.#options = options
    this.#signal = signal
  }

  async run(): Promise<void> {
    const { clock = systemClock, random = systemRandom, log } = this.#options
    for (let attempt = 0; !this.#signal.aborted; attempt += 1) {
      try {
        const response = await this.#subscribe()
        this.isConnected = true
        log.info({ sql: this.#sql, from: this.feed.resumeFrom }, 'following corrosion')
        attempt = 0
        await this.#read(response)
      } catch (error) {
        if (this.#signal.aborted) return
        // the loss is told once, not each attempt to mend it
        log[attempt === 0 ? 'warn' : 'debug'](
          { why: String(error), sql: this.#sql },
          'corrosion is away',
        )
      } finally {
        this.isConnected = false
      }
      const waited = clock.sleep(backoffMs(attempt, BACKOFF, random), this.#signal)
      await waited.catch(() => undefined) // aborted: the loop sees it
    }
  }

  async #subscribe(): Promise<Response> {
    const { url, bearerToken } = this.#options
    const from = this.feed.resumeFrom
    const response = await fetch(`${url}/v1/subscriptions${from === 0 ? '' : `?from=${from}`}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(bearerToken === undefined ? {} : { authorization: `Bearer ${bearerToken}` }),
      },
      body: JSON.stringify(this.#sql),
      signal: this.#signal,
    })
    if (!response.ok) {
      if (response.status === 400 && from > 0) this.feed.reset() // the agent was started anew
      throw broken(`refused: ${response.status} ${await response.text()}`)
    }
    const queryId = response.headers.get('corro-query-id')
    if (from > 0 && queryId !== this.#queryId) {
      this.feed.reset()
      throw broken('the agent was started anew, and its numbers too')
    }
    this.#queryId = queryId
    this.feed.opened()
    return response
  }

  /** Until the stream ends or is of no use. */
  async #read(response: Response): Promise<void> {
    const decoder = new TextDecoder()
    let rest = ''
    for await (const chunk of response.body ?? []) {
      const lines = `${rest}${decoder.decode(chunk, { stream: true })}`.split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > LINE_BYTES_MAX) throw broken('a line has no end')
      for (const line of lines) if (line !== '') this.#event(line)
    }
  }

  #event(line: string): void {
    const problem = this.feed.event(JSON.parse(line))
    if (problem === undefined) return
    this.feed.reset()
    throw broken(problem)
  }
}

const broken = (what: string): SubscriptionError =>
  new SubscriptionError('corrosion.subscription_broken', { what })
