import { parseReplayHeader } from '../replay/parse-replay-header.ts'
import { parseReplayJson } from '../replay/parse-replay-json.ts'
import { type CacheSubject, ReplayCache } from '../replay/replay-cache.ts'
import { cacheOrderOf, REPLAY_CACHE_HEADERS } from '../replay/replay-cache-order.ts'
import type { ReplayFailure } from '../replay/replay-headers.ts'
import { REPLAY_CONTENT_TYPE, REPLAY_HEADER, type ReplayRequest } from '../replay/replay-request.ts'
import type { Decision, LeaseResult, ResponseFacts, RouteRequest } from '../route.ts'
import type { AppEntry, ServiceEntry } from '../routing-table/app-tree.ts'
import type { DecisionMaker } from './decision-maker.ts'
import type { RoutedEntrance } from './entrances.ts'
import type { MachineLease } from './machine-lease.ts'
import {
  type CacheStatus,
  fallbackOf,
  headersOfReplay,
  type ReplayState,
  wishOfReplay,
} from './replay-state.ts'
import { subjectOf } from './request-subject.ts'

/** Ends after which a request asks for no other machine. */
const FINAL: readonly LeaseResult[] = ['done', 'broken', 'timed-out', 'client-gone']

/**
 * What becomes of requests that apps send on: who may, where to, how often, how long, and the way back. The
 * documented rules are in docs/proxy.md, "Replay".
 */
export class Replays {
  readonly cache: ReplayCache
  readonly #maker: DecisionMaker
  readonly #mayReplay: (source: AppEntry, target: AppEntry) => boolean
  /** By request id: those that may come again for another attempt. */
  readonly #states = new Map<string, ReplayState>()
  /** Figures to export. */
  readonly counters = { replayed: 0, invalid: 0, fallback: 0, cacheHit: 0 }

  constructor(maker: DecisionMaker, mayReplay: (source: AppEntry, target: AppEntry) => boolean) {
    this.#maker = maker
    this.#mayReplay = mayReplay
    this.cache = new ReplayCache(maker.core.limits.replayCacheEntries)
  }

  /** Another attempt of a request that is being replayed; undefined for every other request. HOT. */
  continued(request: RouteRequest): Decision | Promise<Decision> | undefined {
    if (this.#states.size === 0) return undefined
    const state = this.#states.get(request.requestId)
    if (state === undefined) return undefined
    state.attempts += 1
    const { limits } = this.#maker.core
    const attemptsMax = state.wish.isMachineForced ? limits.forcedAttempts : limits.attempts
    if (state.attempts >= attemptsMax) return this.#fail(state, 'retries_exhausted')
    if (this.#leftMs(state) <= 0) return this.#fail(state, 'timeout')
    return this.#maker
      .pause(state.attempts, request.signal)
      .then(() => this.#send(state, request.signal))
  }

  /**
   * What the cache has for a request: where it goes, or 'bypass' when its client will not use the entry.
   * HOT: a look at a size for apps without any.
   */
  cached(
    request: RouteRequest,
    entrance: RoutedEntrance,
  ): Decision | Promise<Decision> | 'bypass' | undefined {
    if (this.cache.size === 0 || request.attempts.length > 0) return undefined
    const { core } = this.#maker
    const rules = entrance.spec.http.replayCache
    const found = this.cache.find(request, rules, core.clock.monotonicMs())
    if (found === undefined) return undefined
    const { slot, cached } = found
    const control = request.header(REPLAY_CACHE_HEADERS.control)?.trim().toLowerCase()
    if (control === 'skip' && cached.allowBypass) return 'bypass'
    const target = this.#targetOf(cached.replay, entrance)
    const wish = wishOfReplay(cached.replay, undefined)
    const taken = typeof target === 'string' ? undefined : core.take(target, wish)
    if (typeof target === 'string' || taken === undefined || taken === 'nobody') {
      this.cache.drop(slot) // best effort: the app is asked again
      return undefined
    }
    this.counters.cacheHit += 1
    const subject = subjectOf(request, entrance, false)
    const headers = headersOfReplay(cached.replay, undefined, 'hit', 0)
    if (typeof taken !== 'string') {
      return this.#maker.decide(taken, target, wish, subject, { headers })
    }
    return this.#maker.choose(target, wish, subject, { headers }, request.signal)
  }

  /** The head of a response. HOT: two looks at its headers. */
  responded(
    lease: MachineLease,
    response: ResponseFacts,
  ): undefined | 'read-body' | Decision | Promise<Decision> {
    const value = response.header(REPLAY_HEADER)
    if (value !== undefined) {
      const order = cacheOrderOf((name) => response.header(name))
      return this.#replay(lease, parseReplayHeader(value, order), response.canReplay)
    }
    const type = response.header('content-type')
    if (type === undefined || !type.startsWith(REPLAY_CONTENT_TYPE)) return undefined
    return response.canReplay ? 'read-body' : this.#refuse(lease, 'PA01')
  }

  body(lease: MachineLease, body: Uint8Array): Decision | Promise<Decision> {
    return this.#replay(lease, parseReplayJson(body), true)
  }

  connected(requestId: string): void {
    if (this.#states.size === 0) return
    const state = this.#states.get(requestId)
    if (state !== undefined) state.isConnected = true
  }

  ended(requestId: string, result: LeaseResult): void {
    if (this.#states.size > 0 && FINAL.includes(result)) this.#states.delete(requestId)
  }

  /** Requests in replay: a figure to export. */
  get stateCount(): number {
    return this.#states.size
  }

  #replay(
    lease: MachineLease,
    replay: ReplayRequest | undefined,
    canReplay: boolean,
  ): Decision | Promise<Decision> {
    const { subject, service } = lease
    const before = this.#states.get(subject.requestId)
    const count = (before?.count ?? 0) + 1
    if (replay === undefined || before?.isFallback) return this.#refuse(lease, 'PA03')
    if (!canReplay) return this.#refuse(lease, 'PA01')
    if (count > this.#maker.core.limits.replays) return this.#refuse(lease, 'PA02')
    const { entrance } = subject
    const source = service.machine.app ?? entrance.route.app
    const route = this.#targetOf(replay, entrance, source)
    const { topology } = this.#maker.core.table
    const sourceRoute = source.route('tcp', entrance.port, topology) ?? entrance.route
    if (route === 'PA04' || route === 'PA05') return this.#refuse(lease, route)
    this.#remember(lease, replay)
    this.counters.replayed += 1
    const { core } = this.#maker
    const status: CacheStatus = subject.isBypass ? 'bypass' : 'miss'
    const state: ReplayState = {
      subject,
      replay,
      source: service,
      sourceRoute,
      route: typeof route === 'string' ? sourceRoute : route,
      wish: wishOfReplay(replay, service.machine.id),
      headers: headersOfReplay(replay, service, status, core.clock.nowMs()),
      target: replay.transform?.path,
      count,
      sinceMs: core.clock.monotonicMs(),
      cacheSlot: undefined,
      isFallback: false,
      attempts: 0,
      isConnected: false,
    }
    if (typeof route === 'string') return this.#fail(state, 'no_candidate')
    return this.#send(state, undefined)
  }

  /** The route of the target: the same public port of the app that is named. */
  #targetOf(replay: ReplayRequest, entrance: RoutedEntrance, source = entrance.route.app) {
    const { table } = this.#maker.core
    const app = replay.app === undefined ? source : table.appByName(replay.app)
    if (app === undefined) return 'PA04'
    if (app !== source && !this.#mayReplay(source, app)) return 'PA05'
    return app.route('tcp', entrance.port, table.topology) ?? 'PR03'
  }

  #remember({ subject }: MachineLease, replay: ReplayRequest): void {
    const { entrance, host, target, sessionHeaders } = subject
    const rules = entrance.spec.http.replayCache
    const about: CacheSubject = { host, target, header: (name) => sessionHeaders?.get(name) }
    if (replay.cache?.kind === 'invalidate') this.cache.invalidate(about, rules)
    else this.cache.keep(about, rules, replay, this.#maker.core.clock.monotonicMs())
  }

  #send(state: ReplayState, signal: AbortSignal | undefined): Decision | Promise<Decision> {
    const { core } = this.#maker
    const { route, wish, headers, target, subject } = state
    const leftMs = this.#leftMs(state)
    if (leftMs <= 0) return this.#fail(state, 'timeout')
    this.#keep(state)
    const taken = core.take(route, wish)
    const decide = (service: ServiceEntry) =>
      this.#maker.decide(service, route, wish, subject, { headers, target })
    if (typeof taken !== 'string') return decide(taken)
    if (taken === 'nobody') return this.#fail(state, 'no_candidate')
    return new Promise((resolve) => {
      let giveUp: (() => void) | undefined
      const timer = core.clock.setTimer(() => end(() => this.#fail(state, 'timeout')), leftMs)
      const onAbort = () => end(() => this.#maker.refuse({ code: 'PR03' }))
      const end = (answer: () => Decision | Promise<Decision>) => {
        timer[Symbol.dispose]()
        signal?.removeEventListener('abort', onAbort)
        giveUp?.()
        resolve(answer())
      }
      giveUp = core.wait(route, wish, taken, (got) => {
        end(() => ('code' in got ? this.#fail(state, 'no_candidate', got.code) : decide(got)))
      })
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  #fail(
    state: ReplayState,
    reason: ReplayFailure['reason'],
    code = 'PR03',
  ): Decision | Promise<Decision> {
    const back = fallbackOf(state, reason, this.#maker.core.clock.monotonicMs())
    if (back === undefined) {
      this.#states.delete(state.subject.requestId)
      return this.#maker.refuse({ code })
    }
    this.counters.fallback += 1
    return this.#send(back, undefined)
  }

  #refuse(lease: MachineLease, code: string): Decision {
    this.counters.invalid += 1
    this.#states.delete(lease.subject.requestId)
    return this.#maker.refuse({ code })
  }

  #leftMs({ replay, sinceMs }: ReplayState): number {
    const limitMs = replay.timeoutMs ?? this.#maker.core.limits.waitMs
    return limitMs - (this.#maker.core.clock.monotonicMs() - sinceMs)
  }

  #keep(state: ReplayState): void {
    const { requestId } = state.subject
    this.#states.delete(requestId)
    this.#states.set(requestId, state)
    if (this.#states.size <= this.#maker.core.limits.replaysRemembered) return
    for (const oldest of this.#states.keys()) {
      this.#states.delete(oldest)
      break
    }
  }
}
