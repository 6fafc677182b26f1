import assert from 'node:assert/strict'
import { defineScenario, type SimNode, World } from '#sim'
import type { HostId } from './host.ts'
import { placementLimits } from './placement-limits.ts'
import type { PlacementRequest } from './placement-request.ts'
import { type Choose, chooseAny, chooseBest } from './ranking.ts'
import { LARGEST, nextRequest } from './sim-demand.fixture.ts'
import { SimFleet } from './sim-fleet.fixture.ts'
import { type CreateEnd, SimFront } from './sim-front.fixture.ts'

const FRONTS = 4
/** While the fleet fills: of 1,000 requests so many destroy. Afterwards as many as create. */
const DESTROYS_PERMILLE = 150
const SCAN_EVERY_MS = 5_000

interface MarketOptions {
  readonly hosts: number
  readonly regions: number
  /** That live at once before the churn. */
  readonly machines: number
  /** Requests after that, half of them creates. */
  readonly churn: number
  readonly perSecond: number
  /** Mean time between two deaths of hosts. 0: none dies. */
  readonly crashEveryMs: number
  readonly downForMs: number
  readonly lossRatio: number
  /** Callers that die once room is reserved for them. */
  readonly abandonRatio: number
}

/**
 * A fleet that fills up and churns, while hosts die and letters get lost. No host ever sells more than
 * it has; every reservation is confirmed, given back, or expires; in the end the hosts hold exactly
 * the machines that clients were told of.
 */
export const scenario = defineScenario({
  name: 'market',
  describe:
    'no host is over-committed and no reservation is lost, whatever dies; best fit against random choice',
  defaults: {
    hosts: 1_000,
    regions: 20,
    machines: 100_000,
    churn: 20_000,
    perSecond: 500,
    crashEveryMs: 2_000,
    downForMs: 20_000,
    lossRatio: 0.002,
    abandonRatio: 0.002,
    baseline: true,
    print: true,
  },
  world: () => worldOptions,
  run(world, options) {
    const best = new Story(world, options, chooseBest()).tell()
    if (options.print) print('best fit', best)
    if (!options.baseline) return
    const other = new World({ ...worldOptions, seed: world.seed })
    const random = new Story(other, options, chooseAny).tell()
    other.finish()
    if (options.print) print('random choice', random)
  },
})

const worldOptions = {
  timelineEntries: 512,
  network: { link: { latencyMs: 10, jitterMs: 20 } },
} as const

/** A machine that somebody wants: `at` once it was created. */
interface Wish {
  at: { readonly machine: string; readonly host: HostId } | undefined
  isWanted: boolean
}

/** One fleet under one policy, from empty to the end. */
class Story {
  readonly #world: World
  readonly #options: MarketOptions
  readonly #fleet: SimFleet
  readonly #fronts: readonly SimNode<SimFront>[]
  /** Wanted and not yet unwanted: the same under every policy, whatever was placed where. */
  readonly #wanted: Wish[] = []
  readonly #ends = new Map<string, number>()
  readonly #tookMs: number[] = []
  #requests = 0

  constructor(world: World, options: MarketOptions, choose: Choose) {
    this.#world = world
    this.#options = options
    const fleet = new SimFleet(world, options.hosts, options.regions)
    const limits = placementLimits()
    const { abandonRatio } = options
    this.#fleet = fleet
    this.#fronts = Array.from({ length: FRONTS }, (_, at) =>
      world.addNode(
        `front${at}`,
        (env) => new SimFront(env, { fleet, limits, choose, abandonRatio }),
      ),
    )
  }

  tell(): Figures {
    const { crashEveryMs, downForMs, lossRatio, hosts } = this.#options
    const faults = {
      lossRatio,
      duplicateRatio: lossRatio,
      reorderRatio: lossRatio,
      ...(crashEveryMs > 0 ? { crashEveryMs, downForMs } : {}),
    }
    const spare = this.#fronts.map(({ id }) => id)
    const downMax = Math.max(1, Math.floor(hosts / 20))
    this.#world.startFaults(faults, { spare, downMax, swarm: false })
    this.#demand()
    this.#world.heal()
    const isIdle = () => this.#fronts.every(({ app }) => app.isIdle)
    this.#world.eventually('every request has ended', isIdle, { withinMs: 120_000 })
    const areEnded = () =>
      this.#fleet.hosts.every(({ node }) => node.app.book.reservationCount === 0)
    this.#world.run({ forMs: 2 * placementLimits().reservationTtlMs })
    assert.ok(areEnded(), 'a reservation outlived its time')
    this.#scan()
    this.#assertNothingIsLost()
    return this.#figures()
  }

  /** Fills the fleet, then churns; looks at every host now and then. */
  #demand(): void {
    const { machines, churn, perSecond } = this.#options
    const periodMs = 1_000 / perSecond
    const dice = this.#world.random('requests')
    const wanted = this.#world.random('guests')
    let scanAtMs = SCAN_EVERY_MS
    let left = Infinity
    for (; left > 0; left -= 1) {
      if (left === Infinity && this.#wanted.length >= machines) left = churn
      const isFilling = left === Infinity
      const isDestroy = dice.int(1_000) < (isFilling ? DESTROYS_PERMILLE : 500)
      if (isDestroy && this.#wanted.length > 0) this.#destroy(dice.int(this.#wanted.length))
      else this.#create(nextRequest(wanted, this.#fleet.regions, machines))
      this.#world.run({ forMs: periodMs })
      if (this.#world.nowMs < scanAtMs) continue
      scanAtMs += SCAN_EVERY_MS
      this.#scan()
    }
  }

  #front(): SimFront {
    this.#requests += 1
    const front = this.#fronts[this.#requests % FRONTS]
    assert(front !== undefined, 'there are fronts')
    return front.app
  }

  #create(request: PlacementRequest): void {
    const wish: Wish = { at: undefined, isWanted: true }
    this.#wanted.push(wish)
    this.#front().create(request, (end) => this.#ended(wish, end))
  }

  #ended(wish: Wish, end: CreateEnd): void {
    const name = end.type === 'refused' ? end.code : end.type
    this.#ends.set(name, (this.#ends.get(name) ?? 0) + 1)
    if (end.type !== 'created') return
    const { machine, placement } = end
    wish.at = { machine, host: placement.host }
    this.#tookMs.push(placement.tookMs)
    if (!wish.isWanted) this.#destroyAt(wish.at)
  }

  #destroy(index: number): void {
    const wish = this.#wanted[index]
    const last = this.#wanted.pop()
    assert(wish !== undefined && last !== undefined, 'one is wanted')
    if (wish !== last) this.#wanted[index] = last
    wish.isWanted = false
    if (wish.at !== undefined) this.#destroyAt(wish.at) // else once it is created, if ever
  }

  #destroyAt({ machine, host }: NonNullable<Wish['at']>): void {
    this.#front().destroy(machine, host, () => undefined)
  }

  /** What clients were told of. */
  get #living(): NonNullable<Wish['at']>[] {
    return this.#wanted.flatMap(({ at }) => (at === undefined ? [] : [at]))
  }

  #scan(): void {
    for (const { node, capacity } of this.#fleet.hosts) {
      if (!node.isUp) continue
      node.app.assertWithin()
      node.app.assertSumOfMachines(capacity)
    }
  }

  #assertNothingIsLost(): void {
    const { reserved, confirmed, cancelled, expired, diedWithHost } = this.#fleet.ledger
    assert.equal(
      confirmed + cancelled + expired + diedWithHost,
      reserved,
      'a reservation has no end',
    )
    const abandoned = this.#ends.get('abandoned') ?? 0
    assert.ok(expired + diedWithHost >= abandoned, 'room is held that nobody will use')
    const told = Map.groupBy(this.#living, ({ host }) => host)
    for (const { facts, machines, node } of this.#fleet.hosts) {
      const expected = (told.get(facts.host) ?? []).map(({ machine }) => machine)
      assert.deepEqual([...machines.keys()].toSorted(), expected.toSorted(), facts.host)
      assert.equal(node.app.book.holderCount, machines.size)
    }
  }

  #figures(): Figures {
    const hosts = this.#fleet.hosts.map(({ node }) => node.app.book)
    const cpu = hosts.map(({ utilisation }) => utilisation.cpu)
    const memory = hosts.map(({ utilisation }) => utilisation.memory)
    const sorted = this.#tookMs.toSorted((a, b) => a - b)
    const roomOf = (book: (typeof hosts)[number]) => book.roomFor({ guest: LARGEST })
    return {
      requests: this.#requests,
      living: this.#living.length,
      ends: Object.fromEntries(this.#ends),
      ...this.#fleet.ledger,
      cpuMean: round(mean(cpu)),
      cpuDeviation: round(deviation(cpu)),
      memoryMean: round(mean(memory)),
      memoryDeviation: round(deviation(memory)),
      roomForLargest: hosts.reduce((sum, book) => sum + roomOf(book), 0),
      appMachinesOnOneHostMax: this.#crowdMax(),
      placeMsP50: Math.round(quantile(sorted, 0.5)),
      placeMsP99: Math.round(quantile(sorted, 0.99)),
      placeMsMax: Math.round(sorted.at(-1) ?? 0),
    }
  }

  #crowdMax(): number {
    let max = 0
    for (const { machines } of this.#fleet.hosts) {
      const apps = Map.groupBy(machines.values(), ({ app }) => app)
      for (const own of apps.values()) max = Math.max(max, own.length)
    }
    return max
  }
}

type Figures = Readonly<Record<string, number | Readonly<Record<string, number>>>>

const mean = (values: readonly number[]) =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)

function deviation(values: readonly number[]): number {
  const middle = mean(values)
  return Math.sqrt(mean(values.map((value) => (value - middle) ** 2)))
}

const quantile = (sorted: readonly number[], part: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0

const round = (value: number) => Math.round(value * 1_000) / 1_000

function print(policy: string, figures: Figures): void {
  process.stdout.write(`${policy}: ${JSON.stringify(figures)}\n`)
}
