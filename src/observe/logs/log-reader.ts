import { type Consumer, DeliverPolicy, type JsMsg, jetstream } from '@nats-io/jetstream'
import { startDeadline } from '#base'
import type { NatsLink } from '#market'
import { ObserveError } from '../errors.ts'
import { filterOf, type LogEntry, type LogFilter, parseEntry } from './log-entry.ts'
import { LOG_STREAM } from './log-stream.ts'

export interface LogPage {
  readonly entries: readonly PlacedEntry[]
  /** Where the next page begins; the same again when there was nothing. */
  readonly next: string
}

export interface PlacedEntry {
  /** To begin with, as `from`. */
  readonly place: string
  readonly entry: LogEntry
}

export interface ReadOptions extends LogFilter {
  /**
   * Where to begin: `next` of a former page, a `place`, or a time in nanoseconds since the Unix epoch.
   * Absent: the last lines.
   */
  readonly from?: string | undefined
  /** @default 100 */
  readonly limit?: number
  /** Waits so long for a first line when there is none. @default 0 */
  readonly holdMs?: number
  readonly signal?: AbortSignal | undefined
}

const LIMIT = 100
const DAY_NS = 86_400_000_000_000n
const READ_MS = 10_000
/** What is looked through at most for the last lines of an app. */
const LOOKED_THROUGH_MAX = 50_000
const FETCHED_AT_ONCE = 1_000

/** Reads the log that machines' hosts have sent, a page at a time. */
export class LogReader {
  readonly #link: NatsLink
  readonly #nowMs: () => number

  constructor(link: NatsLink, nowMs: () => number = Date.now) {
    this.#link = link
    this.#nowMs = nowMs
  }

  /**
   * A page of an app's log, oldest first.
   *
   * @throws ObserveError observe.place_bad, observe.unavailable
   */
  async read(app: string, options: ReadOptions = {}): Promise<LogPage> {
    const { from, limit = LIMIT, holdMs = 0, signal } = options
    const nowNs = BigInt(this.#nowMs()) * 1_000_000n
    const isTail = from === undefined || from === ''
    const start = isTail ? { opt_start_time: timeText(nowNs - DAY_NS) } : startOf(from)
    using deadline = startDeadline('reading the log', READ_MS + holdMs, { signal })
    const consumer = await this.#consumer(filterOf(app, options), start)
    try {
      const entries = isTail
        ? (await this.#drain(consumer, LOOKED_THROUGH_MAX, 0, deadline.signal)).slice(-limit)
        : await this.#drain(consumer, limit, holdMs, deadline.signal)
      const last = entries.at(-1)
      const next = last === undefined ? from || String(nowNs) : placeAfter(last.place)
      return { entries, next }
    } finally {
      await consumer.delete().catch(() => undefined) // it ends by itself when nobody asks it any more
    }
  }

  async #consumer(subject: string, start: Start): Promise<Consumer> {
    const { connection } = this.#link
    if (connection === undefined) throw unavailable('there is no connection to NATS')
    try {
      return await jetstream(connection).consumers.get(LOG_STREAM, {
        filter_subjects: subject,
        deliver_policy:
          'opt_start_seq' in start ? DeliverPolicy.StartSequence : DeliverPolicy.StartTime,
        ...start,
      })
    } catch (cause) {
      throw unavailable('the log does not answer', cause)
    }
  }

  /** All that is there, up to `max`; when there is nothing, waits for a first line. */
  async #drain(
    consumer: Consumer,
    max: number,
    holdMs: number,
    signal: AbortSignal,
  ): Promise<PlacedEntry[]> {
    const entries: PlacedEntry[] = []
    let pending = (await consumer.info(true)).num_pending
    if (pending === 0 && holdMs > 0) {
      const first = await consumer.next({ expires: Math.max(1_000, holdMs) })
      if (first === null) return []
      entries.push(placed(first))
      pending = first.info.pending
    }
    while (pending > 0 && entries.length < max) {
      signal.throwIfAborted()
      const wanted = Math.min(pending, max - entries.length, FETCHED_AT_ONCE)
      const messages = await consumer.fetch({ max_messages: wanted, expires: READ_MS / 2 })
      const before = entries.length
      for await (const message of messages) {
        entries.push(placed(message))
        pending = message.info.pending
      }
      if (entries.length === before) throw unavailable('the log stopped answering')
    }
    return entries
  }
}

function placed(message: JsMsg): PlacedEntry {
  return { place: `s${message.info.streamSequence}`, entry: parseEntry(message.data) }
}

type Start = { readonly opt_start_seq: number } | { readonly opt_start_time: string }

/** `s` and the number of a line, or a time in nanoseconds. */
function startOf(place: string): Start {
  if (/^s\d{1,15}$/.test(place)) return { opt_start_seq: Number(place.slice(1)) }
  if (/^\d{1,19}$/.test(place)) return { opt_start_time: timeText(BigInt(place)) }
  throw new ObserveError('observe.place_bad', {
    what: 'not a place in the log',
    values: { place: place.slice(0, 40) },
    fix: 'give what the page before answered, or nanoseconds since the Unix epoch',
  })
}

const placeAfter = (place: string) => `s${Number(place.slice(1)) + 1}`

/** RFC 3339 with nanoseconds. */
function timeText(ns: bigint): string {
  const seconds = new Date(Number(ns / 1_000_000n)).toISOString().slice(0, 19)
  return `${seconds}.${String(ns % 1_000_000_000n).padStart(9, '0')}Z`
}

const unavailable = (what: string, cause?: unknown) =>
  new ObserveError('observe.unavailable', {
    what,
    fix: 'try again; `godwit host status` shows whether nats-server runs',
    cause,
  })
