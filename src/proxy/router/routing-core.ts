import type { Clock, Random } from '#base'
import { Chooser, type NoChoice } from '../balance/chooser.ts'
import { type Waiting, WaitingLine } from '../balance/waiting-line.ts'
import type { Wish } from '../balance/wish.ts'
import type { MachineEntry, PortRoute, ServiceEntry } from '../routing-table/app-tree.ts'
import type { RoutingTable } from '../routing-table/routing-table.ts'
import type { MachineWaker, WakeResult } from '../wake/machine-waker.ts'
import { WakeCore } from '../wake/wake-core.ts'
import type { RoutingLimits } from './routing-limits.ts'

export interface RoutingCoreOptions {
  readonly table: RoutingTable
  readonly waker: MachineWaker
  readonly clock: Clock
  readonly random: Random
  readonly limits: RoutingLimits
}

/** Why a request gets no machine: a documented code, for logs. */
export interface NoMachine {
  readonly code: string
}

/** What a request that waits is told in the end. */
export type Settle = (answer: ServiceEntry | NoMachine) => void

/**
 * Choosing, waiting and waking together: who asks gets a machine now, or waits in a line until one is there. It
 * does no I/O of its own: the waker starts machines, the clock is the caller's.
 *
 * A machine that was given is counted against its limits until `release`.
 */
export class RoutingCore {
  readonly table: RoutingTable
  readonly chooser: Chooser
  readonly waking: WakeCore
  readonly clock: Clock
  readonly random: Random
  readonly limits: RoutingLimits
  readonly #waker: MachineWaker
  readonly #lines = new Map<PortRoute, WaitingLine>()
  #waitingCount = 0
  #timer: Disposable | undefined
  #timerAtMs = Number.POSITIVE_INFINITY
  #isLooking = false
  /** Requests refused because too many waited: a figure to export. */
  overflowCount = 0

  constructor({ table, waker, clock, random, limits }: RoutingCoreOptions) {
    this.table = table
    this.clock = clock
    this.random = random
    this.limits = limits
    this.#waker = waker
    this.chooser = new Chooser(table.topology, random)
    this.waking = new WakeCore(table, random)
  }

  /** Requests that wait for a machine. */
  get waitingCount(): number {
    return this.#waitingCount
  }

  /** A machine, counted; or why there is none at this moment. Starts what has to be started. HOT. */
  take(route: PortRoute, wish: Wish): ServiceEntry | NoChoice {
    const nowMs = this.clock.monotonicMs()
    route.refresh(this.table.topology)
    const choice = this.chooser.choose(route, wish, nowMs)
    const { wake } = this.chooser
    if (wake !== undefined) this.#wake(wake.machine, nowMs)
    if (typeof choice !== 'string') choice.take()
    return choice
  }

  /**
   * Waits for what `take` could not give. `settle` is called once, unless the waiting is given up first.
   * @returns gives up, when the client went away; undefined: settled already, there is no use in waiting
   */
  wait(route: PortRoute, wish: Wish, reason: NoChoice, settle: Settle): (() => void) | undefined {
    const isHopeless = reason === 'nobody'
    if (isHopeless || !this.#hasRoom(route)) {
      if (!isHopeless) this.overflowCount += 1
      settle({ code: this.codeOf(route, reason) })
      return undefined
    }
    const nowMs = this.clock.monotonicMs()
    const line = this.#lines.get(route) ?? new WaitingLine()
    this.#lines.set(route, line)
    let given: ServiceEntry | undefined
    const waiting: Waiting = {
      wish,
      sinceMs: nowMs,
      deadlineAtMs: nowMs + this.limits.waitMs,
      reason,
      serve: () => {
        const choice = this.take(route, wish)
        if (typeof choice === 'string') return choice
        given = choice
        return undefined
      },
      ended: () => {
        this.#waitingCount -= 1
        settle(given ?? { code: this.codeOf(route, waiting.reason) })
      },
    }
    line.join(waiting)
    this.#waitingCount += 1
    this.#arm()
    return () => {
      if (!line.leave(waiting)) return
      this.#waitingCount -= 1
      if (line.size === 0) this.#lines.delete(route)
    }
  }

  /** The use of a machine ended. */
  release(service: ServiceEntry): void {
    service.release()
    if (this.#lines.size === 0) return
    for (const [route, line] of this.#lines) {
      if (route.byMachine.get(service.machine.id) !== service) continue
      line.released()
      this.#look(route, line)
    }
  }

  /** A connection to it failed before anything was sent, or its worker refused. */
  failed(service: ServiceEntry): void {
    service.failed(this.clock.monotonicMs())
    this.waking.doubt(service.machine)
  }

  /** Starts a machine for somebody other than a waiting request; one start, however often it is called. */
  wake(machine: MachineEntry): void {
    this.#wake(machine, this.clock.monotonicMs())
  }

  /** Rows, distances or reachability changed: whoever waits may be served. Cheap when nobody waits. */
  changed(): void {
    if (this.waking.wakingCount > 0) this.waking.heard(this.clock.monotonicMs())
    if (this.#lines.size > 0) this.#arm(this.clock.monotonicMs())
  }

  /** The documented code of a request that ends without a machine. */
  codeOf(route: PortRoute, reason: NoChoice): string {
    const failure = this.waking.lastFailure(route.app.id)
    if (failure !== undefined && (reason === 'asleep' || reason === 'nobody')) return failure
    if (reason === 'asleep') return 'PM03'
    return route.spec.handlers.http ? 'PR03' : 'PR01'
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]()
  }

  #hasRoom(route: PortRoute): boolean {
    const own = this.#lines.get(route)?.size ?? 0
    return own < this.limits.waitingPerRoute && this.#waitingCount < this.limits.waitingTotal
  }

  #wake(machine: MachineEntry, nowMs: number): void {
    const action = this.waking.wanted(machine, nowMs)
    if (action === undefined) return
    this.#arm()
    this.#waker.start(machine, action.deadlineMs, (result) => this.#woken(machine, result))
  }

  #woken(machine: MachineEntry, result: WakeResult): void {
    this.waking.ended(machine, result, this.clock.monotonicMs())
    this.#lookAll()
    this.#arm()
  }

  #lookAll(): void {
    for (const [route, line] of this.#lines) this.#look(route, line)
  }

  /** Serving may start machines and settle others: a look within a look is left to the timer. */
  #look(route: PortRoute, line: WaitingLine): void {
    if (this.#isLooking) {
      this.#arm(this.clock.monotonicMs())
      return
    }
    this.#isLooking = true
    try {
      line.look(this.clock.monotonicMs())
    } finally {
      this.#isLooking = false
    }
    if (line.size === 0) this.#lines.delete(route)
    else if (line.isHeld) this.#arm()
  }

  #arm(atMs = Number.POSITIVE_INFINITY): void {
    let nextMs = Math.min(atMs, this.waking.wakeAtMs)
    for (const line of this.#lines.values()) nextMs = Math.min(nextMs, line.wakeAtMs)
    if (this.#lines.size > 0) nextMs = Math.min(nextMs, this.clock.monotonicMs() + RELOOK_MS)
    if (nextMs >= this.#timerAtMs) return
    this.#timer?.[Symbol.dispose]()
    this.#timerAtMs = nextMs
    if (nextMs === Number.POSITIVE_INFINITY) return
    const waitMs = Math.max(0, nextMs - this.clock.monotonicMs())
    this.#timer = this.clock.setTimer(() => this.#tick(), waitMs)
  }

  #tick(): void {
    this.#timerAtMs = Number.POSITIVE_INFINITY
    this.waking.tick(this.clock.monotonicMs())
    this.#lookAll()
    this.#arm()
  }
}

/** Time alone opens ways too: a machine is not avoided any more, may be started again, counts as unhealthy. */
const RELOOK_MS = 250
