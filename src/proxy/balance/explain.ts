import type { PortRoute, RegionCandidates, ServiceEntry } from '../routing-table/app-tree.ts'
import type { Chooser, NoChoice } from './chooser.ts'
import type { Wish } from './wish.ts'

/** Why this machine: a choice with everything that it was made of, as JSON. Times in milliseconds. */
export interface Explanation {
  readonly app: string
  readonly port: number
  readonly wish: Readonly<Record<string, unknown>>
  readonly chosen: string | undefined
  /** A stopped machine that a request would start now. */
  readonly wakes: string | undefined
  /** A sentence. */
  readonly why: string
  /** Nearest first. */
  readonly regions: readonly ExplainedRegion[]
}

export interface ExplainedRegion {
  readonly region: string
  readonly distance_ms: number
  readonly machines: readonly ExplainedMachine[]
}

export interface ExplainedMachine {
  readonly machine: string
  readonly host: string
  readonly rtt_ms: number | null
  readonly state: string
  readonly verdict: Verdict
  readonly load: number
  readonly soft_limit: number
  /** Null: none. */
  readonly hard_limit: number | null
}

export type Verdict =
  | 'below_soft'
  | 'over_soft'
  | 'at_hard'
  | 'avoided'
  | 'failing_checks'
  | 'starting'
  | 'startable'
  | 'changing'
  | 'start_failed'
  | 'cordoned'
  | 'excluded'
  | 'unavailable'

/** Makes a choice as a request would (without taking it) and says how. */
export function explain(
  route: PortRoute,
  wish: Wish,
  chooser: Chooser,
  nowMs: number,
): Explanation {
  const choice = chooser.choose(route, wish, nowMs)
  const { wake } = chooser
  const near = route.regions.map((region) => explainRegion(region, route, wish, nowMs))
  return {
    app: route.app.name,
    port: route.port,
    wish: {
      ...(wish.regions.length === 0 ? {} : { regions: wish.regions }),
      ...(wish.isRegionForced ? { region_forced: true } : {}),
      ...(wish.machine === undefined ? {} : { machine: wish.machine }),
      ...(wish.isMachineForced ? { machine_forced: true } : {}),
      ...(wish.excluded.size === 0 ? {} : { excluded: [...wish.excluded] }),
    },
    chosen: typeof choice === 'string' ? undefined : choice.machine.id,
    wakes: wake?.machine.id,
    why: typeof choice === 'string' ? whyNot(choice, wake) : why(choice, route, wish, wake),
    regions: near,
  }
}

function why(
  chosen: ServiceEntry,
  route: PortRoute,
  wish: Wish,
  wake: ServiceEntry | undefined,
): string {
  const { machine } = chosen
  const load = `${chosen.load} of soft limit ${chosen.softLimit}`
  const beside = wake === undefined ? '' : `; ${wake.machine.id} is started beside it`
  if (machine.id === wish.machine) return `the machine that was asked for (${load})`
  const isNearest = route.regions[0]?.region === machine.region
  const where = isNearest ? 'the nearest region' : `region ${machine.region}, as nearer ones cannot`
  if (chosen.load < chosen.softLimit) {
    return `in ${where}: nearest with room below its soft limit, of two drawn the less loaded (${load})${beside}`
  }
  return `in ${where}: all are over their soft limits, this one least (${load})${beside}`
}

const whyNot = (reason: NoChoice, wake: ServiceEntry | undefined): string =>
  ({
    asleep:
      wake === undefined
        ? 'a machine is being started; the request waits for it'
        : `none runs; ${wake.machine.id} is started and the request waits for it`,
    full: 'all that run are at their hard limits; the request waits for a free place',
    unhealthy: 'machines run and none passes its checks; the request waits for one',
    nobody: 'no machine exposes this port and fits what was asked for',
  })[reason]

function explainRegion(
  candidates: RegionCandidates,
  route: PortRoute,
  wish: Wish,
  nowMs: number,
): ExplainedRegion {
  const services = [...route.byMachine.values()].filter(
    ({ machine }) => machine.region === candidates.region,
  )
  return {
    region: candidates.region,
    distance_ms: candidates.distanceUs / 1_000,
    machines: services.map((service) => explainMachine(service, wish, nowMs)),
  }
}

function explainMachine(service: ServiceEntry, wish: Wish, nowMs: number): ExplainedMachine {
  const { machine } = service
  const rttUs = machine.host?.rttUs ?? Number.POSITIVE_INFINITY
  return {
    machine: machine.id,
    host: machine.host?.id ?? '',
    rtt_ms: Number.isFinite(rttUs) ? rttUs / 1_000 : null,
    state: machine.state,
    verdict: verdictOf(service, wish, nowMs),
    load: service.load,
    soft_limit: service.softLimit,
    hard_limit: Number.isFinite(service.hardLimit) ? service.hardLimit : null,
  }
}

function verdictOf(service: ServiceEntry, wish: Wish, nowMs: number): Verdict {
  const { machine } = service
  if (wish.excluded.has(machine.id)) return 'excluded'
  if (machine.isCordoned) return 'cordoned'
  if (machine.availability === 'starting' || machine.isWaking) return 'starting'
  if (machine.availability === 'startable') {
    if (!service.autostart) return 'unavailable'
    return nowMs < machine.noStartBeforeMs ? 'start_failed' : 'startable'
  }
  if (machine.availability === 'changing' && service.autostart) return 'changing'
  if (machine.availability !== 'running') return 'unavailable'
  if (!machine.isPassing) return 'failing_checks'
  if (nowMs < service.avoidUntilMs) return 'avoided'
  if (service.load >= service.hardLimit) return 'at_hard'
  return service.load < service.softLimit ? 'below_soft' : 'over_soft'
}
