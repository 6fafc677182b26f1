import assert from 'node:assert/strict'
import type { Random } from '#base'
import type { Answer, Bid } from './bid.ts'
import type { HostId, Region } from './host.ts'
import type { PlacementError } from './placement-error.ts'
import { type Failure, placementFailed } from './placement-failure.ts'
import type { PlacementLimits } from './placement-limits.ts'
import type { PlacementRequest } from './placement-request.ts'
import type { Choose } from './ranking.ts'
import type { HostRefusal, Refusal } from './refusal.ts'

/** Room on a host, reserved until `ttlMs` after the answer, to be confirmed on that host. */
export interface Placement {
  readonly host: HostId
  readonly region: Region
  readonly reservation: string
  readonly ttlMs: number
  /** From the first ask to the reservation. */
  readonly tookMs: number
  /** Hosts that were ordered from, the successful one included. */
  readonly orderCount: number
}

export type PlacementEvent =
  | {
      readonly type: 'answered'
      readonly ask: number
      readonly host: HostId
      readonly answer: Answer
    }
  /** Nobody is subscribed to what was asked. */
  | { readonly type: 'askUnheard'; readonly ask: number }
  | {
      readonly type: 'orderAnswered'
      readonly reservation: string
      readonly host: HostId
      readonly refusal?: Refusal | undefined
    }
  | { readonly type: 'orderUnheard'; readonly reservation: string }
  | { readonly type: 'disconnected' }
  /** The caller went away: what may have been reserved is given back, nothing is reported. */
  | { readonly type: 'cancelled' }
  | { readonly type: 'clockTicked' }

export type AskTarget =
  | { readonly region: Region; readonly host?: undefined }
  | { readonly host: HostId }

export type PlacementAction =
  | { readonly type: 'ask'; readonly ask: number; readonly to: AskTarget }
  | {
      readonly type: 'reserve'
      readonly host: HostId
      readonly reservation: string
      readonly ttlMs: number
    }
  | { readonly type: 'cancel'; readonly host: HostId; readonly reservation: string }
  | { readonly type: 'succeed'; readonly placement: Placement }
  | { readonly type: 'fail'; readonly error: PlacementError }

export interface PlacementOptions {
  readonly request: PlacementRequest
  readonly limits: PlacementLimits
  readonly choose: Choose
  readonly random: Random
  readonly newReservation: () => string
  /** Hosts that are expected to answer: when all have, nobody is waited for. */
  readonly hostsIn?: ((region: Region) => number | undefined) | undefined
}

/** Everything about the region that is being tried. */
interface Asking {
  readonly ask: number
  readonly region: Region
  readonly expected: number
  readonly askedAtMs: number
  readonly heard: Set<HostId>
  bids: Bid[]
  firstAnswerAtMs: number
  orders: number
}

interface Ordering {
  readonly bid: Bid
  readonly reservation: string
  readonly untilMs: number
}

/**
 * One placement, immediate or cancel: asks a region, takes the best bid, and when that host refuses
 * after all, the next best; then the next region. Nothing queues: it ends in a reservation or in a
 * reason per host, at `limits.deadlineMs` after its start at the latest. A host whose answer did not
 * come is told to forget the order, and if it does not hear that, the reservation expires.
 *
 * No I/O, no clock of its own. Ends with exactly one of succeed, fail, or (cancelled) neither.
 */
export class PlacementRun {
  readonly #options: PlacementOptions
  readonly #startedAtMs: number
  readonly #failure: Failure = {
    refusals: [],
    counts: new Map(),
    answered: 0,
    untried: 0,
    regions: [],
  }
  #asking: Asking | undefined
  #ordering: Ordering | undefined
  #regionIndex = -1
  #orderCount = 0
  #isDone = false
  /** Answers that came twice, too late, or from somebody who was not asked. */
  ignoredCount = 0

  constructor(options: PlacementOptions, nowMs: number) {
    this.#options = options
    this.#startedAtMs = nowMs
  }

  get isDone(): boolean {
    return this.#isDone
  }

  /** When the shell must send `clockTicked` at the latest. */
  get wakeAtMs(): number {
    if (this.#isDone) return Infinity
    const deadlineMs = this.#startedAtMs + this.#options.limits.deadlineMs
    const stepMs = this.#ordering?.untilMs ?? this.#chooseAtMs()
    return Math.min(deadlineMs, stepMs)
  }

  start(nowMs: number): readonly PlacementAction[] {
    assert(this.#regionIndex === -1, 'a placement starts once')
    return this.#nextRegion(nowMs)
  }

  step(event: PlacementEvent, nowMs: number): readonly PlacementAction[] {
    if (this.#isDone) return this.#ignore()
    switch (event.type) {
      case 'answered':
        return this.#answered(event.ask, event.host, event.answer, nowMs)
      case 'askUnheard':
        return this.#askUnheard(event.ask, nowMs)
      case 'orderAnswered':
        return this.#orderAnswered(event.reservation, event.host, event.refusal, nowMs)
      case 'orderUnheard':
        return this.#ordering?.reservation === event.reservation
          ? this.#passOver({ reason: 'silent' }, nowMs)
          : this.#ignore()
      case 'disconnected':
        return this.#end('market.unavailable')
      case 'cancelled':
        this.#isDone = true
        return this.#takeBack()
      case 'clockTicked':
        return this.#tick(nowMs)
    }
  }

  #ignore(): PlacementAction[] {
    this.ignoredCount += 1
    return []
  }

  #nextRegion(nowMs: number): PlacementAction[] {
    const { request, hostsIn } = this.#options
    const isHostAsked = request.host !== undefined && this.#regionIndex >= 0
    this.#regionIndex += 1
    const region = request.regions[this.#regionIndex]
    if (region === undefined || isHostAsked) return this.#end()
    this.#failure.regions.push(region)
    const ask = this.#regionIndex
    this.#asking = {
      ask,
      region,
      expected: request.host === undefined ? (hostsIn?.(region) ?? Infinity) : 1,
      askedAtMs: nowMs,
      heard: new Set(),
      bids: [],
      firstAnswerAtMs: Infinity,
      orders: 0,
    }
    const to = request.host === undefined ? { region } : { host: request.host }
    return [{ type: 'ask', ask, to }]
  }

  /** The window begins with the first answer; without a bid, the slow are waited for a while. */
  #chooseAtMs(): number {
    const { limits } = this.#options
    if (this.#asking === undefined) return Infinity
    const { askedAtMs, firstAnswerAtMs, bids } = this.#asking
    const silentAtMs = askedAtMs + limits.silenceMs
    return bids.length === 0
      ? silentAtMs
      : Math.min(silentAtMs, firstAnswerAtMs + limits.bidWindowMs)
  }

  #answered(ask: number, host: HostId, answer: Answer, nowMs: number): PlacementAction[] {
    const asking = this.#asking
    if (asking === undefined || asking.ask !== ask || asking.heard.has(host)) return this.#ignore()
    if (!this.#wasAsked(asking, host, answer)) return this.#ignore()
    asking.heard.add(host)
    asking.firstAnswerAtMs = Math.min(asking.firstAnswerAtMs, nowMs)
    this.#failure.answered += 1
    if (answer.type === 'refusal') this.#refuse(answer.refusal, asking.region, host)
    else asking.bids.push(answer.bid)
    if (this.#ordering !== undefined) return [] // it is a candidate if that order fails
    const { bidsEnough } = this.#options.limits
    const isEnough = asking.heard.size >= asking.expected || asking.bids.length >= bidsEnough
    return isEnough ? this.#order(nowMs) : []
  }

  /** Nobody offers another host, or a host of another region than the one that was asked. */
  #wasAsked({ region }: Asking, host: HostId, answer: Answer): boolean {
    const { request } = this.#options
    if (request.host !== undefined && host !== request.host) return false
    if (answer.type === 'refusal') return true
    if (answer.bid.host !== host) return false
    return request.host === undefined
      ? answer.bid.region === region
      : request.regions.includes(answer.bid.region)
  }

  #askUnheard(ask: number, nowMs: number): PlacementAction[] {
    const asking = this.#asking
    if (asking?.ask !== ask || asking.heard.size > 0) return this.#ignore()
    this.#refuse({ reason: 'nobody' }, asking.region, this.#options.request.host)
    return this.#nextRegion(nowMs)
  }

  #order(nowMs: number): PlacementAction[] {
    const { limits, request, choose, random, newReservation } = this.#options
    const asking = this.#asking
    assert(asking !== undefined, 'bids are of a region')
    this.#ordering = undefined
    if (asking.bids.length === 0 || asking.orders >= limits.ordersMax) {
      this.#failure.untried += asking.bids.length
      if (asking.heard.size === 0) this.#refuse({ reason: 'silent' }, asking.region, request.host)
      return this.#nextRegion(nowMs)
    }
    const bid = choose(asking.bids, (request.volumeBytes ?? 0) > 0, random, asking.orders)
    asking.bids = asking.bids.filter((other) => other !== bid)
    asking.orders += 1
    this.#orderCount += 1
    const reservation = newReservation()
    this.#ordering = { bid, reservation, untilMs: nowMs + limits.orderMs }
    return [{ type: 'reserve', host: bid.host, reservation, ttlMs: limits.reservationTtlMs }]
  }

  #orderAnswered(
    reservation: string,
    host: HostId,
    refusal: Refusal | undefined,
    nowMs: number,
  ): PlacementAction[] {
    const ordering = this.#ordering
    if (ordering?.reservation !== reservation || ordering.bid.host !== host) return this.#ignore()
    if (refusal !== undefined) return this.#passOver(refusal, nowMs)
    this.#ordering = undefined
    this.#isDone = true
    const placement = {
      host,
      region: ordering.bid.region,
      reservation,
      ttlMs: this.#options.limits.reservationTtlMs,
      tookMs: nowMs - this.#startedAtMs,
      orderCount: this.#orderCount,
    }
    return [{ type: 'succeed', placement }]
  }

  /** The host that was ordered from does not take it; the next does, perhaps. */
  #passOver(refusal: Refusal, nowMs: number): PlacementAction[] {
    assert(this.#ordering !== undefined, 'an order is passed over')
    const { bid } = this.#ordering
    this.#refuse(refusal, bid.region, bid.host)
    const isOpen = refusal.reason === 'silent' // it may have reserved all the same
    return [...(isOpen ? this.#takeBack() : []), ...this.#order(nowMs)]
  }

  #tick(nowMs: number): PlacementAction[] {
    if (nowMs < this.wakeAtMs) return []
    const { deadlineMs } = this.#options.limits
    if (nowMs >= this.#startedAtMs + deadlineMs) return this.#end('market.deadline')
    if (this.#ordering !== undefined) return this.#passOver({ reason: 'silent' }, nowMs)
    return this.#order(nowMs)
  }

  #refuse(refusal: Refusal, region: Region, host: HostId | undefined): void {
    const { refusals, counts } = this.#failure
    counts.set(refusal.reason, (counts.get(refusal.reason) ?? 0) + 1)
    const own: HostRefusal = { ...refusal, region, ...(host === undefined ? {} : { host }) }
    refusals.push(own)
  }

  /** Sent whenever a host may hold what nobody wants any more. */
  #takeBack(): PlacementAction[] {
    const ordering = this.#ordering
    this.#ordering = undefined
    if (ordering === undefined) return []
    return [{ type: 'cancel', host: ordering.bid.host, reservation: ordering.reservation }]
  }

  /** Why: by the refusals, unless something else ended it. */
  #end(code?: 'market.unavailable' | 'market.deadline'): PlacementAction[] {
    this.#isDone = true
    const { limits, request } = this.#options
    const error = placementFailed(code, this.#failure, request, limits)
    return [...this.#takeBack(), { type: 'fail', error }]
  }
}
