import type { Random } from '#base'
import type { Kernel } from './kernel.ts'
import type { Network } from './network.ts'
import type { SimNode } from './node.ts'
import type { Partitions } from './partitions.ts'
import { exponentialMs } from './random-stream.ts'

/** Faults as data. A kind that is left out does not happen; `every` is a mean, in virtual time. */
export interface FaultPlan {
  readonly lossRatio?: number
  readonly duplicateRatio?: number
  readonly reorderRatio?: number
  /** Splits the nodes into two groups. */
  readonly partitionEveryMs?: number
  /** Cuts one direction between one node and the rest. */
  readonly asymmetricCutEveryMs?: number
  /** How long a partition or cut lasts, on average. @default 5,000 */
  readonly cutForMs?: number
  readonly crashEveryMs?: number
  /** @default 2,000, on average */
  readonly downForMs?: number
  /** Stops a node without ending it. */
  readonly pauseEveryMs?: number
  /** @default 1,000, on average */
  readonly pauseForMs?: number
  /** A wall clock jumps to within plus or minus `skewMs`. */
  readonly skewEveryMs?: number
  /** @default 500 */
  readonly skewMs?: number
  /** Each crystal is off by up to plus or minus this. */
  readonly driftRatio?: number
  /** How many disk calls fail with EIO. */
  readonly diskErrorRatio?: number
  /** How many changing disk calls cut the power, before or after their effect. */
  readonly diskCrashRatio?: number
}

const DOWN_MS = 2_000

/** A whole kind of fault, which swarm testing switches off as one. */
// biome-ignore format: a list
export type FaultKind =
  | 'loss' | 'duplicate' | 'reorder' | 'partition' | 'asymmetricCut'
  | 'crash' | 'pause' | 'skew' | 'drift' | 'disk' | 'diskCrash'

export interface NemesisOptions {
  /**
   * Each seed switches each kind off by the toss of a coin: some bugs show only where others do
   * not get in the way (Groce et al., "Swarm Testing", ISSTA 2012). @default true
   */
  readonly swarm?: boolean
  /** Ids of nodes that no fault strikes, though cuts may isolate them. @default none */
  readonly spare?: readonly string[]
  /** How many may be down at once. @default a minority, but at least 1 */
  readonly downMax?: number
}

const kindOf: Readonly<Record<string, FaultKind>> = {
  lossRatio: 'loss',
  duplicateRatio: 'duplicate',
  reorderRatio: 'reorder',
  partitionEveryMs: 'partition',
  asymmetricCutEveryMs: 'asymmetricCut',
  crashEveryMs: 'crash',
  pauseEveryMs: 'pause',
  skewEveryMs: 'skew',
  driftRatio: 'drift',
  diskErrorRatio: 'disk',
  diskCrashRatio: 'diskCrash',
} satisfies Partial<Record<keyof FaultPlan, FaultKind>>

/** The same plan without the kinds that lost the toss; how long things last is kept. */
export function swarm(plan: FaultPlan, random: Random): FaultPlan {
  const isOff = new Map(Object.values(kindOf).map((kind) => [kind, random.int(2) === 0]))
  const kept = Object.entries(plan).filter(([name]) => {
    const kind = kindOf[name]
    return kind === undefined || !isOff.get(kind)
  })
  return Object.fromEntries(kept)
}

/** What of a world faults strike. */
export interface NemesisWorld {
  readonly nodes: readonly SimNode[]
  readonly network: Network
  readonly partitions: Partitions
  readonly nowMs: number
  /** Runs `act` after `afterMs` of world time, outside all nodes. */
  after(afterMs: number, act: () => void): Disposable
}

/** Carries out a plan, each kind of fault with its own dice, until it is stopped. */
export class Nemesis {
  /** What is left of the plan after the swarm. */
  readonly plan: FaultPlan
  readonly #world: NemesisWorld
  readonly #kernel: Kernel
  readonly #spare: ReadonlySet<string>
  readonly #downMax: number
  #isStopped = false

  constructor(world: NemesisWorld, kernel: Kernel, plan: FaultPlan, options: NemesisOptions) {
    this.#world = world
    this.#kernel = kernel
    this.#spare = new Set(options.spare)
    const targets = world.nodes.filter(({ id }) => !this.#spare.has(id)).length
    this.#downMax = options.downMax ?? Math.max(1, (targets - 1) >> 1)
    this.plan = options.swarm === false ? plan : swarm(plan, kernel.stream('swarm'))
    kernel.recordWorld(`faults ${JSON.stringify(this.plan)}`)
    this.#setRatios()
    this.#setDrift()
    this.#repeat('partition', this.plan.partitionEveryMs, (dice) => this.#partition(dice))
    this.#repeat('asymmetric', this.plan.asymmetricCutEveryMs, (dice) => this.#cutOneWay(dice))
    this.#repeat('crash', this.plan.crashEveryMs, (dice) => this.#crash(dice))
    this.#repeat('pause', this.plan.pauseEveryMs, (dice) => this.#pause(dice))
    this.#repeat('skew', this.plan.skewEveryMs, (dice) => this.#skew(dice))
  }

  /** No new faults, none of the ratios; what is cut or down stays so: `world.heal` mends it. */
  stop(): void {
    this.#isStopped = true
    Object.assign(this.#world.network.faults, { lossRatio: 0, duplicateRatio: 0, reorderRatio: 0 })
    for (const { disk } of this.#world.nodes) {
      disk.errorRatio = 0
      disk.crashRatio = 0
    }
  }

  #setRatios(): void {
    const { lossRatio = 0, duplicateRatio = 0, reorderRatio = 0, diskErrorRatio = 0 } = this.plan
    Object.assign(this.#world.network.faults, { lossRatio, duplicateRatio, reorderRatio })
    for (const node of this.#targets()) {
      node.disk.errorRatio = diskErrorRatio
      this.#setDiskCrashes(node)
    }
  }

  #setDiskCrashes(node: SimNode): void {
    const { diskCrashRatio = 0, downForMs = DOWN_MS } = this.plan
    const dice = this.#kernel.stream('nemesis', 'disk-crash', node.id)
    node.disk.crashRatio = diskCrashRatio
    node.disk.afterRandomCrash = () => this.#later(dice, downForMs, () => node.start())
  }

  #setDrift(): void {
    const { driftRatio } = this.plan
    if (driftRatio === undefined) return
    const dice = this.#kernel.stream('nemesis', 'drift')
    for (const node of this.#targets()) {
      node.time.setDrift((dice.next() * 2 - 1) * driftRatio, this.#world.nowMs)
    }
  }

  #repeat(kind: string, everyMs: number | undefined, act: (dice: Random) => void): void {
    if (everyMs === undefined) return
    const dice = this.#kernel.stream('nemesis', kind)
    const next = () => {
      this.#world.after(exponentialMs(dice, everyMs), () => {
        if (this.#isStopped) return
        act(dice)
        next()
      })
    }
    next()
  }

  #targets(): SimNode[] {
    return this.#world.nodes.filter(({ id }) => !this.#spare.has(id))
  }

  /** Undoes a fault after a while, even when the nemesis has been stopped in between. */
  #later(dice: Random, meanMs: number, undo: () => void): void {
    this.#world.after(exponentialMs(dice, meanMs), undo)
  }

  #partition(dice: Random): void {
    const ids = this.#world.nodes.map(({ id }) => id)
    const isLeft = new Map(ids.map((id) => [id, dice.int(2) === 0]))
    const left = ids.filter((id) => isLeft.get(id))
    const right = ids.filter((id) => !isLeft.get(id))
    const { cutForMs = 5_000 } = this.plan
    if (left.length === 0 || right.length === 0) return
    const cut = this.#world.partitions.split(left, right)
    this.#later(dice, cutForMs, () => cut[Symbol.dispose]())
  }

  #cutOneWay(dice: Random): void {
    const ids = this.#world.nodes.map(({ id }) => id)
    const one = ids[dice.int(ids.length)] as string
    const rest = ids.filter((id) => id !== one)
    const { partitions } = this.#world
    const { cutForMs = 5_000 } = this.plan
    const cut = dice.int(2) === 0 ? partitions.cut([one], rest) : partitions.cut(rest, [one])
    this.#later(dice, cutForMs, () => cut[Symbol.dispose]())
  }

  #crash(dice: Random): void {
    const targets = this.#targets()
    const up = targets.filter((node) => node.isUp)
    const victim = up[dice.int(Math.max(1, up.length))]
    const kind = dice.int(2) === 0 ? 'process' : 'power'
    if (victim === undefined || targets.length - up.length >= this.#downMax) return
    victim.crash(kind)
    this.#later(dice, this.plan.downForMs ?? DOWN_MS, () => victim.start())
  }

  #pause(dice: Random): void {
    const targets = this.#targets()
    const victim = targets[dice.int(Math.max(1, targets.length))]
    victim?.pause(exponentialMs(dice, this.plan.pauseForMs ?? 1_000))
  }

  #skew(dice: Random): void {
    const targets = this.#targets()
    const victim = targets[dice.int(Math.max(1, targets.length))]
    if (victim === undefined) return
    const skewMs = (dice.next() * 2 - 1) * (this.plan.skewMs ?? 500)
    victim.time.jump(skewMs, this.#world.nowMs)
    this.#kernel.recordWorld(`clock of ${victim.id} off by ${skewMs.toFixed(0)} ms`)
  }
}
