import { backoffMs } from '#base'
import type { NoChoice } from '../balance/chooser.ts'
import { type Explanation, explain } from '../balance/explain.ts'
import { excluding, NO_WISH, type Wish, wishOf } from '../balance/wish.ts'
import { REPLAY_CACHE_HEADERS } from '../replay/replay-cache-order.ts'
import type {
  ConnectionFacts,
  Decision,
  Entrance,
  LeaseResult,
  RouteRequest,
  Router,
} from '../route.ts'
import type { AppEntry, PortRoute, ServiceEntry } from '../routing-table/app-tree.ts'
import type { StaticPath } from '../statics/static-files.ts'
import { STATIC_HEADER, STATICS_PORT, writeOrder } from '../statics/static-order.ts'
import type { DecisionExtras, DecisionMaker } from './decision-maker.ts'
import { Entrances, fits, type RoutedEntrance, SharedEntrance } from './entrances.ts'
import { type LeaseOwner, MachineLease } from './machine-lease.ts'
import { isInNetwork } from './private-network.ts'
import { Replays } from './replays.ts'
import { type RequestSubject, subjectOf } from './request-subject.ts'
import type { NoMachine, RoutingCore } from './routing-core.ts'
import { type Chosen, StaticLease } from './static-lease.ts'

export interface ProxyRouterOptions {
  readonly core: RoutingCore
  /** Whether one app may send requests to another. @default same organisation and 6PN network */
  readonly mayReplay?: (source: AppEntry, target: AppEntry) => boolean
}

/** Pauses between attempts when every candidate has failed once. */
const RETRY_BACKOFF = { baseMs: 50, capMs: 2_000 }
const NO_EXTRAS: DecisionExtras = {}
const UNAVAILABLE_HEADER = 'fly-preferred-instance-unavailable'

/** The decisions, as the data plane asks for them: see route.ts. Answers from memory. */
export class ProxyRouter implements Router, LeaseOwner, DecisionMaker {
  readonly core: RoutingCore
  readonly replays: Replays
  readonly #entrances = new Entrances()

  constructor({ core, mayReplay = isSameNetwork }: ProxyRouterOptions) {
    this.core = core
    this.replays = new Replays(this, mayReplay)
  }

  accept(connection: ConnectionFacts): Entrance | undefined {
    const { table } = this.core
    const entry = table.address(connection.localAddress)
    if (entry === undefined) return undefined
    if (entry.kind === 'shared_v4') {
      return this.#entrances.shared(connection.localAddress, connection.localPort)
    }
    if (entry.kind === 'private_v6' && !isInNetwork(connection.clientAddress, entry.networkId)) {
      return undefined
    }
    const route = table.lookup(connection.localAddress, connection.localPort, 'tcp')
    return typeof route === 'string' ? undefined : this.#entrances.of(route)
  }

  named(entrance: Entrance, name: string): Entrance | undefined {
    if (!(entrance instanceof SharedEntrance)) return entrance
    const route = this.core.table.lookup(entrance.address, entrance.port, 'tcp', name)
    if (typeof route === 'string') return undefined
    const named = this.#entrances.of(route)
    return fits(entrance, named) ? named : undefined
  }

  route(request: RouteRequest): Decision | Promise<Decision> {
    const entrance = request.entrance as RoutedEntrance
    const replayed = this.replays.continued(request)
    if (replayed !== undefined) return replayed
    const isHttp = request.kind === 'http'
    const wish = isHttp ? wishOf(request) : NO_WISH
    const cached = isHttp ? this.replays.cached(request, entrance) : undefined
    if (cached !== undefined && typeof cached === 'object') return cached
    const subject = subjectOf(request, entrance, cached === 'bypass')
    const extras = cached === 'bypass' ? BYPASSED : NO_EXTRAS
    if (request.attempts.length > 0) return this.#retry(request, subject, wish, extras)
    return this.choose(entrance.route, wish, subject, extras, request.signal)
  }

  choose(
    route: PortRoute,
    wish: Wish,
    subject: RequestSubject,
    extras: DecisionExtras,
    signal: AbortSignal | undefined,
  ): Decision | Promise<Decision> {
    const taken = this.core.take(route, wish)
    if (typeof taken !== 'string') return this.decide(taken, route, wish, subject, extras)
    if (taken === 'nobody') return this.refuse({ code: this.core.codeOf(route, taken) })
    return this.#wait(route, wish, taken, signal, (answer) =>
      'code' in answer ? this.refuse(answer) : this.decide(answer, route, wish, subject, extras),
    )
  }

  decide(
    service: ServiceEntry,
    route: PortRoute,
    wish: Wish,
    subject: RequestSubject,
    extras: DecisionExtras,
  ): Decision {
    const { machine } = service
    const { spec } = route
    if (machine.statics !== undefined && subject.mayBeStatic) {
      const file = machine.statics.find(subject.target)
      if (file !== undefined) return this.#toFile(file, { service, route, wish, subject, extras })
    }
    const lease = new MachineLease(service, route, wish.isMachineForced, subject, this)
    const protocol = !subject.isHttp ? 'tcp' : spec.http.h2Backend ? 'h2c' : 'h1'
    const { keepBodyBytes } = this.core.limits
    const headers = headersWith(extras, wish, machine.id)
    const more = {
      protocol,
      lease,
      keepBodyBytes,
      ...(headers === undefined ? {} : { headers }),
      ...(extras.target === undefined ? {} : { target: extras.target }),
    } as const
    const { host } = machine
    const port = service.internalPort
    if (host === undefined || host === this.core.table.topology.own) {
      return { kind: 'machine', address: machine.address, port, ...more }
    }
    const address = host.backhaulAddress
    return { kind: 'remote', host: host.id, address, port, machine: machine.id, ...more }
  }

  /** To the files of the machine; to the app in a second step, where there is no such file. */
  #toFile({ rule, path }: StaticPath, chosen: Chosen): Decision {
    const { service, extras } = chosen
    const { own } = this.core.table.topology
    const host = service.machine.host ?? own
    if (rule.bucket !== undefined) {
      this.core.release(service)
      return { kind: 'refuse', status: 502, code: 'PR05' }
    }
    const order: [string, string] = [STATIC_HEADER, writeOrder({ root: rule.root, path })]
    return {
      ...{ kind: 'remote', protocol: 'h1', port: STATICS_PORT },
      ...{ host: host.id, address: host.backhaulAddress, machine: service.machine.id },
      lease: new StaticLease(chosen, this, (again) => this.choose(...again, undefined)),
      headers: new Map([...(extras.headers ?? []), order]),
      keepBodyBytes: this.core.limits.keepBodyBytes,
    }
  }

  refuse({ code }: NoMachine): Decision {
    return { kind: 'refuse', status: code.startsWith('PA') ? 502 : 503, code }
  }

  /** Why this machine: what a request for this host name or address would get, and from what. */
  explain(route: PortRoute, wish: Wish): Explanation {
    route.refresh(this.core.table.topology)
    return explain(route, wish, this.core.chooser, this.core.clock.monotonicMs())
  }

  connected(lease: MachineLease): void {
    lease.service.succeeded()
    this.replays.connected(lease.subject.requestId)
  }

  responded(...[lease, response]: Parameters<LeaseOwner['responded']>) {
    return this.replays.responded(lease, response)
  }

  replayBody(lease: MachineLease, body: Uint8Array): Decision | Promise<Decision> {
    return this.replays.body(lease, body)
  }

  released(lease: MachineLease, result: LeaseResult): void {
    if (result === 'connect-failed' || result === 'refused') this.core.failed(lease.service)
    else this.replays.ended(lease.subject.requestId, result)
    this.core.release(lease.service)
  }

  /**
   * The next attempt: at machines that have not failed this request, and when all have, at any again after a
   * pause. A request that insists on a machine tries it a few times and nobody else.
   */
  #retry(
    request: RouteRequest,
    subject: RequestSubject,
    wish: Wish,
    extras: DecisionExtras,
  ): Decision | Promise<Decision> {
    const { attempts, signal } = request
    const { route } = subject.entrance
    const code = subject.isHttp ? 'PR03' : 'PR01'
    const { limits } = this.core
    const attemptsMax = wish.isMachineForced ? limits.forcedAttempts : limits.attempts
    if (attempts.length >= attemptsMax) return this.refuse({ code })
    if (!wish.isMachineForced) {
      const others = excluding(
        wish,
        attempts.map(({ machine }) => machine),
      )
      const taken = this.core.take(route, others)
      if (typeof taken !== 'string') return this.decide(taken, route, others, subject, extras)
    }
    return this.pause(attempts.length, signal).then(() =>
      signal.aborted ? this.refuse({ code }) : this.choose(route, wish, subject, extras, signal),
    )
  }

  pause(attempt: number, signal: AbortSignal | undefined): Promise<void> {
    const { clock, random } = this.core
    const waitMs = backoffMs(Math.min(attempt, 10), RETRY_BACKOFF, random)
    return clock.sleep(waitMs, signal).catch(() => undefined)
  }

  #wait(
    route: PortRoute,
    wish: Wish,
    reason: NoChoice,
    signal: AbortSignal | undefined,
    answer: (end: ServiceEntry | NoMachine) => Decision,
  ): Promise<Decision> {
    return new Promise((resolve) => {
      const onAbort = () => {
        giveUp?.()
        resolve(this.refuse({ code: this.core.codeOf(route, reason) }))
      }
      const giveUp = this.core.wait(route, wish, reason, (end) => {
        signal?.removeEventListener('abort', onAbort)
        resolve(answer(end))
      })
      if (giveUp !== undefined) signal?.addEventListener('abort', onAbort, { once: true })
    })
  }
}

const BYPASSED: DecisionExtras = { headers: new Map([[REPLAY_CACHE_HEADERS.status, 'bypass']]) }

/** A preferred machine that is not the one is named to whoever gets the request instead. */
function headersWith(
  { headers }: DecisionExtras,
  wish: Wish,
  machine: string,
): ReadonlyMap<string, string | false> | undefined {
  if (wish.machine === undefined || wish.isMachineForced || wish.machine === machine) return headers
  return new Map([...(headers ?? []), [UNAVAILABLE_HEADER, wish.machine]])
}

const isSameNetwork = (source: AppEntry, target: AppEntry) =>
  source.orgId === target.orgId && source.networkId === target.networkId
