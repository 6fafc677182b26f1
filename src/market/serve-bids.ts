import { type Clock, errorCode, type Log, systemClock } from '#base'
import { Bidder, type BidderOptions } from './bidder.ts'
import { MarketError } from './errors.ts'
import { decodeAsk, decodeOrder, encodeAnswer, encodeOrderAnswer, type Order } from './message.ts'
import type { NatsLink, NatsMessage } from './nats-link.ts'
import type { Refusal } from './refusal.ts'
import { answerSubject, hostSubjects } from './subjects.ts'

export interface ServeBidsOptions extends BidderOptions {
  readonly link: NatsLink
  readonly log: Log
  readonly clock?: Clock
}

/** What a host has done on the market since it started: figures to export. */
export interface BidCounters {
  bids: number
  refusals: number
  reserved: number
  reserveRefused: number
  cancelled: number
  expired: number
  malformed: number
}

export interface BidServer extends Disposable {
  readonly counters: Readonly<BidCounters>
}

/**
 * Answers asks and orders from NATS for this host, and ends reservations that nobody confirmed, until
 * disposed. A message is handled within the call that brings it: no queue of its own.
 */
export function serveBids(options: ServeBidsOptions): BidServer {
  return new Server(options)
}

class Server implements BidServer {
  readonly counters: BidCounters = {
    bids: 0,
    refusals: 0,
    reserved: 0,
    reserveRefused: 0,
    cancelled: 0,
    expired: 0,
    malformed: 0,
  }
  readonly #options: ServeBidsOptions
  readonly #clock: Clock
  readonly #bidder: Bidder
  readonly #subscriptions: Disposable[]
  #timer: Disposable | undefined

  constructor(options: ServeBidsOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#bidder = new Bidder(options)
    const { host, region } = options.facts
    const { asks, orders } = hostSubjects(host, region)
    this.#subscriptions = [
      ...asks.map((subject) => options.link.subscribe(subject, (one) => this.#asked(one))),
      options.link.subscribe(orders, (one) => this.#ordered(one)),
    ]
  }

  [Symbol.dispose](): void {
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]()
    this.#timer?.[Symbol.dispose]()
  }

  #asked(message: NatsMessage): void {
    const request = this.#read(message, decodeAsk)
    const answer =
      request === undefined
        ? ({ type: 'refusal', refusal: { reason: 'malformed' } } as const)
        : this.#bidder.answer(request, this.#clock.monotonicMs())
    if (answer.type === 'bid') this.counters.bids += 1
    else this.counters.refusals += 1
    this.#say(message, encodeAnswer(answer))
  }

  #ordered(message: NatsMessage): void {
    const order = this.#read(message, decodeOrder)
    if (order === undefined) return // it names no reservation that could be refused
    if (order.type === 'cancel') {
      this.counters.cancelled += 1
      this.#bidder.cancel(order.reservation)
      return
    }
    const refusal = this.#reserve(order)
    this.#say(message, encodeOrderAnswer({ reservation: order.reservation, refusal }))
  }

  #reserve({ reservation, request, ttlMs }: Order & { type: 'reserve' }): Refusal | undefined {
    const refusal = this.#bidder.reserve(reservation, request, ttlMs, this.#clock.monotonicMs())
    if (refusal === undefined) this.counters.reserved += 1
    else this.counters.reserveRefused += 1
    this.#timer ??= this.#wakeForExpiry()
    return refusal
  }

  #wakeForExpiry(): Disposable | undefined {
    const { book } = this.#options
    const waitMs = book.wakeAtMs - this.#clock.monotonicMs()
    if (waitMs === Infinity) return undefined
    return this.#clock.setTimer(
      () => {
        this.counters.expired += book.expire(this.#clock.monotonicMs()).length
        this.#timer = this.#wakeForExpiry()
      },
      Math.max(1, waitMs),
    )
  }

  #read<Value>({ data, subject }: NatsMessage, decode: (data: Uint8Array) => Value) {
    try {
      return decode(data)
    } catch (err) {
      if (!(err instanceof MarketError)) throw err
      this.counters.malformed += 1
      this.#options.log.warn({ err, subject }, 'got what is no message of the market')
      return undefined
    }
  }

  /** An answer that cannot be sent is not missed: who asked gives up on this host. */
  #say({ reply }: NatsMessage, payload: string): void {
    const { link, facts, log } = this.#options
    const subject = answerSubject(reply, facts.host)
    if (subject === undefined) return
    try {
      link.publish(subject, payload)
    } catch (err) {
      if (errorCode(err) !== 'market.unavailable') throw err
      log.debug({ err }, 'an answer could not be sent')
    }
  }
}
