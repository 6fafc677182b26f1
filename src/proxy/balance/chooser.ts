// HOT: `choose` runs for every request; bench/routing.ts has its cost.
import type { Random } from '#base'
import type { PortRoute, RegionCandidates, ServiceEntry } from '../routing-table/app-tree.ts'
import type { Topology } from '../routing-table/topology.ts'
import { expandRegions } from './region-list.ts'
import { NO_WISH, type Wish } from './wish.ts'

/** Why no machine can be chosen now. The first three may pass. */
export type NoChoice =
  /** None runs: the chooser's `wake` has the one to start, or it is being started, or stops at this moment. */
  | 'asleep'
  /** All that run are at their hard limits. */
  | 'full'
  /** Machines run, and none passes its checks. */
  | 'unhealthy'
  /** Nothing exposes the port, or nothing that is asked for. */
  | 'nobody'

/** Started machines with failing checks are waited for this long before they count as unhealthy. */
export const WARMING_MS = 20_000
/** A machine that is starting for longer keeps no other one from being started; one that stops is not waited for. */
export const STARTING_MS = 30_000

/**
 * Chooses a machine for a request. The rules, in this order (docs/proxy.md, "Balancing"):
 *
 * 1. Regions nearest first, by the shortest round trip to a host of each; a wish reorders or restricts them.
 * 2. In a region, hosts in bands of round trips; the nearest band that has a machine below its soft limit
 *    serves. Of a band, two machines are drawn and the one with more headroom is taken.
 * 3. All of a region at or over soft: the least loaded one below its hard limit, and a stopped one is started
 *    beside it. Soft limits alone send nothing to another region.
 * 4. All of a region unhealthy or at hard: the next region.
 * 5. Nobody runs: the nearest startable one is started, and the request waits.
 *
 * Machines whose connections failed a moment ago come after all others.
 */
export class Chooser {
  readonly #random: Random
  readonly #topology: Topology
  /** After `choose`: a machine to start, beside the chosen one or for want of any. */
  wake: ServiceEntry | undefined

  constructor(topology: Topology, random: Random) {
    this.#topology = topology
    this.#random = random
  }

  /** `nowMs` is monotonic. */
  choose(route: PortRoute, wish: Wish, nowMs: number): ServiceEntry | NoChoice {
    this.wake = undefined
    if (wish.machine !== undefined) {
      const wished = this.#wished(route, wish.machine, wish, nowMs)
      if (typeof wished !== 'string' || wish.isMachineForced) return wished
      this.wake = undefined
    }
    const regions = wish.regions.length === 0 ? route.regions : this.#ordered(route, wish)
    const first = this.#among(regions, wish, nowMs, false)
    if (typeof first !== 'string') return first
    const wake = this.wake
    const second = this.#among(regions, wish, nowMs, true) // better one that failed than none
    if (typeof second !== 'string') return second
    this.wake = wake
    return first
  }

  #among(
    regions: readonly RegionCandidates[],
    wish: Wish,
    nowMs: number,
    includesAvoided: boolean,
  ): ServiceEntry | NoChoice {
    let asleep: ServiceEntry | undefined
    let isFull = false
    let isWarming = false
    let isUnhealthy = false
    let isChanging = false
    for (const region of regions) {
      const { bands } = region
      const below = this.#belowSoft(bands, wish, nowMs, includesAvoided)
      if (below !== undefined) {
        if (isFull && !isWarming) this.wake = asleep
        return below
      }
      isWarming ||= isWakingIn(region) || hasWarming(region, nowMs)
      asleep ??= startableIn(region, wish, nowMs)
      const over = leastLoaded(bands, wish, nowMs, includesAvoided)
      if (over !== undefined) {
        this.wake = isWarming ? undefined : asleep
        return over
      }
      isFull ||= hasFull(bands, wish)
      isUnhealthy ||= region.warming.length > 0
      isChanging ||= hasChanging(region, wish, nowMs)
    }
    if (isWarming) return 'asleep' // one is on its way: no second one for the same need
    this.wake = asleep
    if (asleep !== undefined) return 'asleep'
    if (isFull) return 'full'
    if (isChanging) return 'asleep' // and is started once it rests
    return isUnhealthy ? 'unhealthy' : 'nobody'
  }

  /** The machine that a request names, by the same rules as all others. */
  #wished(route: PortRoute, id: string, wish: Wish, nowMs: number): ServiceEntry | NoChoice {
    const service = route.byMachine.get(id)
    if (service === undefined || wish.excluded.has(id)) return 'nobody'
    const { machine } = service
    if (machine.availability === 'starting' || machine.isWaking) return 'asleep'
    if (machine.availability === 'startable') {
      if (!service.autostart || nowMs < machine.noStartBeforeMs) return 'nobody'
      this.wake = service
      return 'asleep'
    }
    if (machine.isOutOfReach) return 'unhealthy'
    if (isChangingNow(service, nowMs)) return 'asleep'
    if (machine.availability !== 'running') return 'nobody'
    if (!machine.isPassing) return 'unhealthy'
    return service.load < service.hardLimit ? service : 'full'
  }

  #ordered(route: PortRoute, wish: Wish): readonly RegionCandidates[] {
    const present = route.regions.map(({ region }) => region)
    const named = expandRegions(wish.regions, present, this.#topology)
    const wished = named.flatMap(
      (name) => route.regions.find(({ region }) => region === name) ?? [],
    )
    if (wish.isRegionForced) return wished
    return [...wished, ...route.regions.filter((region) => !wished.includes(region))]
  }

  #belowSoft(
    bands: RegionCandidates['bands'],
    wish: Wish,
    nowMs: number,
    includesAvoided: boolean,
  ): ServiceEntry | undefined {
    for (let at = 0; at < bands.length; at += 1) {
      const band = bands[at] as readonly ServiceEntry[]
      const found = this.#drawOf(band, wish, includesAvoided ? Number.POSITIVE_INFINITY : nowMs)
      if (found !== undefined) return found
    }
    return undefined
  }

  /** Two random ones, the one with more headroom; by a scan when neither will do. */
  #drawOf(band: readonly ServiceEntry[], wish: Wish, nowMs: number): ServiceEntry | undefined {
    const count = band.length
    const start = count === 1 ? 0 : this.#random.int(count)
    const one = band[start] as ServiceEntry
    const isOne = isBelowSoft(one, wish, nowMs)
    if (count === 1) return isOne ? one : undefined
    const offset = 1 + (count === 2 ? 0 : this.#random.int(count - 1))
    const other = band[(start + offset) % count] as ServiceEntry
    const isOther = isBelowSoft(other, wish, nowMs)
    if (isOne && isOther) return other.headroom > one.headroom ? other : one
    if (isOne) return one
    if (isOther) return other
    for (let step = 1; step < count; step += 1) {
      const next = band[(start + step) % count] as ServiceEntry
      if (isBelowSoft(next, wish, nowMs)) return next
    }
    return undefined
  }
}

function isBelowSoft(service: ServiceEntry, wish: Wish, nowMs: number): boolean {
  const { load } = service
  if (load >= service.softLimit || load >= service.hardLimit) return false
  return isAllowed(service, wish) && nowMs >= service.avoidUntilMs
}

/** A set without members is not asked: of nearly every request. */
const isAllowed = (service: ServiceEntry, wish: Wish) =>
  wish === NO_WISH || wish.excluded.size === 0 || !wish.excluded.has(service.machine.id)

function leastLoaded(
  bands: RegionCandidates['bands'],
  wish: Wish,
  nowMs: number,
  includesAvoided: boolean,
): ServiceEntry | undefined {
  let best: ServiceEntry | undefined
  let bestRatio = Number.POSITIVE_INFINITY
  for (const band of bands) {
    for (const service of band) {
      if (service.load >= service.hardLimit || !isAllowed(service, wish)) continue
      if (!includesAvoided && nowMs < service.avoidUntilMs) continue
      const ratio = service.load / service.softLimit
      if (ratio >= bestRatio) continue
      best = service
      bestRatio = ratio
    }
  }
  return best
}

const hasFull = (bands: RegionCandidates['bands'], wish: Wish) =>
  bands.some((band) =>
    band.some((service) => service.load >= service.hardLimit && isAllowed(service, wish)),
  )

/** All proxies take the first: two edges with one need start one machine. */
function startableIn(
  region: RegionCandidates,
  wish: Wish,
  nowMs: number,
): ServiceEntry | undefined {
  return region.startable.find(
    (service) => nowMs >= service.machine.noStartBeforeMs && isAllowed(service, wish),
  )
}

const isWakingIn = ({ startable }: RegionCandidates) =>
  startable.some(({ machine }) => machine.isWaking)

/** Also one that this request had failed at: a second start for it would be for the same need. */
const hasWarming = ({ warming }: RegionCandidates, nowMs: number) =>
  warming.some(({ machine }) =>
    machine.availability === 'starting'
      ? nowMs - machine.stateSinceMs < STARTING_MS
      : nowMs - machine.startedAtMs < WARMING_MS,
  )

const isChangingNow = ({ machine, autostart }: ServiceEntry, nowMs: number) =>
  machine.availability === 'changing' && autostart && nowMs - machine.stateSinceMs < STARTING_MS

const hasChanging = ({ changing }: RegionCandidates, wish: Wish, nowMs: number) =>
  changing.some((service) => isChangingNow(service, nowMs) && isAllowed(service, wish))
