import {
  type Clock,
  errorCode,
  type Log,
  type Random,
  systemClock,
  systemRandom,
  ulidGenerator,
} from '#base'
import { MarketError } from './errors.ts'
import type { ClientId, HostId, Region } from './host.ts'
import { decodeAnswer, decodeOrderAnswer, encodeAsk, encodeOrder } from './message.ts'
import type { NatsLink, NatsMessage } from './nats-link.ts'
import {
  type Placement,
  type PlacementAction,
  type PlacementEvent,
  PlacementRun,
} from './placement.ts'
import { placementFailed } from './placement-failure.ts'
import { type PlacementLimits, placementLimits } from './placement-limits.ts'
import { checkPlacementRequest, type PlacementRequest } from './placement-request.ts'
import type { PlaceCall, Placer } from './placer.ts'
import { type Choose, chooseBest, type RankingOptions } from './ranking.ts'
import {
  askSubject,
  clientReplies,
  type Exchange,
  orderSubject,
  parseReply,
  replySubject,
} from './subjects.ts'

/** Placements that one process has under way. */
const PLACEMENTS_MAX = 1_000

export interface NatsPlacerOptions {
  readonly link: NatsLink
  /** This process among all that ask: its nkey may listen to replies for this id alone. */
  readonly client: ClientId
  readonly log: Log
  readonly limits?: Partial<PlacementLimits>
  readonly ranking?: RankingOptions
  /**
   * Hosts of a region that live, as far as is known: once so many have answered nobody is waited for.
   * Absent, or undefined: the window and the silence of the limits decide.
   */
  readonly hostsIn?: (region: Region) => number | undefined
  /** @default 1,000 */
  readonly placementsMax?: number
  readonly clock?: Clock
  readonly random?: Random
}

/** What came of placements since the start: figures to export. */
export interface PlacerCounters {
  placed: number
  failed: number
  /** Messages that came twice, too late, or from nobody who was asked. */
  ignored: number
  malformed: number
}

/** One placement and whoever waits for it. */
interface Running {
  readonly id: string
  readonly request: PlacementRequest
  readonly run: PlacementRun
  readonly limits: PlacementLimits
  readonly resolve: (placement: Placement) => void
  readonly reject: (error: unknown) => void
  /** By exchange: what an order's silence is about. */
  readonly orders: Map<string, string>
  timer: Disposable | undefined
}

/** Asks hosts over NATS. @throws MarketError market.limits_bad from the constructor. */
export class NatsPlacer implements Placer, Disposable {
  readonly counters: PlacerCounters = { placed: 0, failed: 0, ignored: 0, malformed: 0 }
  readonly #options: NatsPlacerOptions
  readonly #limits: PlacementLimits
  readonly #choose: Choose
  readonly #clock: Clock
  readonly #random: Random
  readonly #newId: () => string
  readonly #running = new Map<string, Running>()
  readonly #subscriptions: Disposable[]

  constructor(options: NatsPlacerOptions) {
    const { link, client } = options
    this.#options = options
    this.#limits = placementLimits(options.limits)
    this.#choose = chooseBest(options.ranking)
    this.#clock = options.clock ?? systemClock
    this.#random = options.random ?? systemRandom
    this.#newId = ulidGenerator({ clock: this.#clock, random: this.#random })
    this.#subscriptions = [
      link.subscribe(clientReplies(client), (message) => this.#received(message)),
      link.watch(() => this.#linkChanged()),
    ]
  }

  /** Placements under way. */
  get runningCount(): number {
    return this.#running.size
  }

  async place(request: PlacementRequest, call: PlaceCall = {}): Promise<Placement> {
    const { signal, deadlineMs = this.#limits.deadlineMs } = call
    signal?.throwIfAborted()
    const checked = checkPlacementRequest(request)
    const limits = { ...this.#limits, deadlineMs: Math.min(deadlineMs, this.#limits.deadlineMs) }
    this.#checkIsAble(checked, limits)
    const { promise, resolve, reject } = Promise.withResolvers<Placement>()
    const running = this.#start(checked, limits, { resolve, reject })
    const onAbort = () => {
      this.#send(running, { type: 'cancelled' })
      this.#finish(running)
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      return await promise
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  release({ host, reservation }: Pick<Placement, 'host' | 'reservation'>): void {
    this.#publish(orderSubject(host), encodeOrder({ type: 'cancel', reservation }))
  }

  /** Ends all placements under way as if NATS were gone. */
  [Symbol.dispose](): void {
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]()
    this.#endAll()
  }

  #checkIsAble(request: PlacementRequest, limits: PlacementLimits): void {
    const { link, placementsMax = PLACEMENTS_MAX } = this.#options
    if (!link.isConnected) {
      const nothing = { refusals: [], counts: new Map(), answered: 0, regions: [] }
      throw placementFailed('market.unavailable', nothing, request, limits)
    }
    if (this.#running.size >= placementsMax) {
      throw new MarketError('market.overloaded', {
        what: 'too many placements are under way here',
        values: { placementsMax },
        fix: 'try again in a moment',
      })
    }
  }

  #start(
    request: PlacementRequest,
    limits: PlacementLimits,
    settle: Pick<Running, 'resolve' | 'reject'>,
  ): Running {
    const { hostsIn } = this.#options
    const options = {
      request,
      limits,
      choose: this.#choose,
      random: this.#random,
      newReservation: this.#newId,
      hostsIn,
    }
    const nowMs = this.#clock.monotonicMs()
    const run = new PlacementRun(options, nowMs)
    const id = this.#newId()
    const running = { id, request, run, limits, orders: new Map(), timer: undefined, ...settle }
    this.#running.set(id, running)
    this.#perform(running, run.start(nowMs))
    return running
  }

  #received(message: NatsMessage): void {
    const address = parseReply(message.subject)
    const running = address === undefined ? undefined : this.#running.get(address.placement)
    if (address === undefined || running === undefined) {
      this.counters.ignored += 1
      return
    }
    const event = this.#eventOf(running, address.exchange, address.host, message)
    if (event !== undefined) this.#send(running, event)
  }

  /** Undefined: it says nothing that this placement could use. */
  #eventOf(
    running: Running,
    exchange: string,
    host: HostId | undefined,
    { data, isUnheard, subject }: NatsMessage,
  ): PlacementEvent | undefined {
    const reservation = running.orders.get(exchange)
    const ask = Number(/^a(\d+)$/.exec(exchange)?.[1] ?? -1)
    if (host === undefined) {
      if (!isUnheard) return undefined
      return reservation === undefined
        ? { type: 'askUnheard', ask }
        : { type: 'orderUnheard', reservation }
    }
    try {
      if (reservation === undefined)
        return { type: 'answered', ask, host, answer: decodeAnswer(data) }
      return { type: 'orderAnswered', host, ...decodeOrderAnswer(data) }
    } catch (err) {
      if (errorCode(err) !== 'market.message_malformed') throw err
      this.counters.malformed += 1
      this.#options.log.warn({ err, subject }, 'a host said what is no message of the market')
      return undefined
    }
  }

  #send(running: Running, event: PlacementEvent): void {
    const before = running.run.ignoredCount
    const actions = running.run.step(event, this.#clock.monotonicMs())
    this.counters.ignored += running.run.ignoredCount - before
    this.#perform(running, actions)
  }

  #perform(running: Running, actions: readonly PlacementAction[]): void {
    for (const action of actions) this.#performOne(running, action)
    running.timer?.[Symbol.dispose]()
    running.timer = undefined
    const waitMs = running.run.wakeAtMs - this.#clock.monotonicMs()
    if (waitMs === Infinity) return
    const onTimer = () => this.#send(running, { type: 'clockTicked' })
    running.timer = this.#clock.setTimer(onTimer, Math.max(1, waitMs))
  }

  #performOne(running: Running, action: PlacementAction): void {
    const { request, id } = running
    const reply = (exchange: Exchange) => replySubject(this.#options.client, id, exchange)
    switch (action.type) {
      case 'ask':
        this.#publish(askSubject(action.to), encodeAsk(request), reply(`a${action.ask}`))
        break
      case 'reserve': {
        const exchange: Exchange = `o${running.orders.size}`
        running.orders.set(exchange, action.reservation)
        const order = encodeOrder({ ...action, type: 'reserve', request })
        this.#publish(orderSubject(action.host), order, reply(exchange))
        break
      }
      case 'cancel':
        this.release(action)
        break
      case 'succeed':
        this.counters.placed += 1
        this.#finish(running)
        running.resolve(action.placement)
        break
      case 'fail':
        this.counters.failed += 1
        this.#finish(running)
        running.reject(action.error)
    }
  }

  /** What is not sent is answered by nobody, and ends by the placement's own deadlines. */
  #publish(subject: string, payload: string, reply?: string): void {
    try {
      this.#options.link.publish(subject, payload, reply)
    } catch (err) {
      if (errorCode(err) !== 'market.unavailable') throw err
      this.#options.log.debug({ err, subject }, 'a message could not be sent')
    }
  }

  #linkChanged(): void {
    if (!this.#options.link.isConnected) this.#endAll()
  }

  #endAll(): void {
    for (const running of [...this.#running.values()]) this.#send(running, { type: 'disconnected' })
  }

  #finish(running: Running): void {
    this.#running.delete(running.id)
    running.timer?.[Symbol.dispose]()
    running.timer = undefined
  }
}
