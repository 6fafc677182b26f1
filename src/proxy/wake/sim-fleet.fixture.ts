import assert from 'node:assert/strict'
import type { Clock, Random } from '#base'
import type { NoChoice } from '../balance/chooser.ts'
import { NO_WISH, type Wish } from '../balance/wish.ts'
import { RoutingCore } from '../router/routing-core.ts'
import { ROUTING_LIMITS } from '../router/routing-limits.ts'
import type { PortRoute, ServiceEntry } from '../routing-table/app-tree.ts'
import { TableFixture } from '../routing-table/table.fixture.ts'
import { Autostop } from './autostop-shell.ts'
import type { MachineWaker } from './machine-waker.ts'

export interface FleetOptions {
  readonly machinesPerHost: number
  readonly min: number
  readonly softLimit: number
  readonly hardLimit: number
  readonly startFailRatio: number
  readonly lostAnswerRatio: number
  readonly newsMs: number
  readonly startMs: number
}

/** A machine as it truly is. */
interface TrueMachine {
  readonly id: string
  readonly host: string
  readonly region: string
  state: 'stopped' | 'starting' | 'started' | 'stopping'
  lostAtMs: number
}

export const HOSTS = [
  { id: 'h1', region: 'ams' },
  { id: 'h2', region: 'ams' },
  { id: 'h3', region: 'nrt' },
] as const
const LOST_FOR_MS = 600_000
const ADDRESS = '192.0.2.1'

/** Hosts with a proxy each, machines as they are, and the news of them that comes late to each proxy. */
export class SimFleet {
  readonly machines = new Map<string, TrueMachine>()
  readonly proxies: SimProxy[] = []
  readonly hostsDown = new Set<string>()
  readonly clock: Clock
  readonly random: Random
  readonly options: FleetOptions
  stopCount = 0
  startCount = 0
  /** While true nothing fails. */
  isHealed = false

  constructor(clock: Clock, random: Random, options: FleetOptions) {
    this.clock = clock
    this.random = random
    this.options = options
    for (const { id, region } of HOSTS) {
      for (let at = 0; at < options.machinesPerHost; at += 1) {
        const machine = { id: `m-${id}-${at}`, host: id, region, lostAtMs: -Infinity }
        this.machines.set(machine.id, { ...machine, state: 'stopped' })
      }
    }
    for (const { id } of HOSTS) this.proxies.push(new SimProxy(this, id))
  }

  chance(ratio: number): boolean {
    return !this.isHealed && this.random.next() < ratio
  }

  later(maxMs: number, call: () => void): void {
    this.clock.setTimer(call, this.random.next() * maxMs)
  }

  become(machine: TrueMachine, state: TrueMachine['state']): void {
    machine.state = state
    for (const proxy of this.proxies) this.later(this.options.newsMs, () => proxy.hear(machine.id))
  }

  killHost(id: string, forMs: number): void {
    if (this.hostsDown.has(id)) return
    this.hostsDown.add(id)
    for (const machine of this.machines.values()) {
      if (machine.host !== id || machine.state === 'stopped') continue
      machine.lostAtMs = this.clock.monotonicMs()
      this.become(machine, 'stopped')
    }
    this.clock.setTimer(() => this.hostsDown.delete(id), forMs)
  }

  /** What is asked of the hosts. `stop` checks the promise of the minimum with the truth. */
  wakerOf(): MachineWaker {
    return {
      start: (entry, _deadlineMs, done) => this.#start(entry.id, done),
      stop: (entry, _how, done) => this.#stop(entry.id, done),
    }
  }

  #start(id: string, done: Parameters<MachineWaker['start']>[2]): void {
    const machine = this.machines.get(id) as TrueMachine
    this.startCount += 1
    const fail = (code: 'PM07' | 'PM08' | 'PU03') =>
      this.later(200, () => done({ kind: 'failed', code, reason: 'simulated' }))
    if (this.hostsDown.has(machine.host)) fail('PU03')
    else if (machine.state === 'stopping') fail('PM08')
    else if (machine.state === 'started') this.later(50, () => done({ kind: 'ready' }))
    else this.#boot(machine, done)
  }

  #boot(machine: TrueMachine, done: Parameters<MachineWaker['start']>[2]): void {
    const isFailing = this.chance(this.options.startFailRatio)
    const isLost = this.chance(this.options.lostAnswerRatio)
    this.become(machine, 'starting')
    this.later(this.options.startMs, () => {
      if (machine.state === 'starting') this.become(machine, isFailing ? 'stopped' : 'started')
      if (isLost) return
      if (machine.state === 'started') done({ kind: 'ready' })
      else done({ kind: 'failed', code: 'PM07', reason: 'simulated' })
    })
  }

  #stop(id: string, done: Parameters<MachineWaker['stop']>[2]): void {
    const machine = this.machines.get(id) as TrueMachine
    this.stopCount += 1
    if (machine.state !== 'started') {
      done({ kind: 'failed', reason: `it is ${machine.state}` })
      return
    }
    if (machine.region === 'ams') {
      const nowMs = this.clock.monotonicMs()
      const others = [...this.machines.values()].filter(
        (other) =>
          other !== machine &&
          other.region === 'ams' &&
          (other.state === 'started' || nowMs - other.lostAtMs < LOST_FOR_MS),
      )
      assert.ok(others.length >= this.options.min, 'autostop went below the minimum')
    }
    this.become(machine, 'stopping')
    this.later(1_000, () => {
      if (machine.state === 'stopping') this.become(machine, 'stopped')
      done({ kind: 'stopped' })
    })
  }
}

/** The decisions of one host, with a table that hears of the truth late. */
export class SimProxy {
  readonly core: RoutingCore
  readonly rows: TableFixture
  readonly hostId: string
  readonly #fleet: SimFleet
  readonly #startsUnderWay = new Set<string>()
  readonly #autostop: Autostop
  served = 0
  refused = 0

  constructor(fleet: SimFleet, hostId: string) {
    this.#fleet = fleet
    this.hostId = hostId
    this.rows = new TableFixture(hostId)
    for (const { id, region } of HOSTS) this.rows.host(id, region, region === 'nrt' ? 200_000 : 400)
    this.rows.app('a').ip(ADDRESS, 'a')
    const { softLimit, hardLimit, min } = fleet.options
    const service = {
      soft_limit: softLimit,
      hard_limit: hardLimit,
      autostop: 'stop',
      min_machines_running: min,
    }
    for (const { id, host } of fleet.machines.values()) {
      this.rows.machine(id, 'a', host, { state: 'stopped', primary_region: 'ams', service })
    }
    const waker = this.#watched(fleet.wakerOf())
    const { clock } = fleet
    const table = this.rows.table
    this.#autostop = new Autostop({
      table,
      waker,
      clock,
      closeUpgrades: () => undefined,
      changed: () => this.core?.changed(),
    })
    this.core = new RoutingCore({
      table,
      waker: this.#autostop,
      clock,
      random: fleet.random,
      limits: ROUTING_LIMITS,
    })
  }

  hear(id: string): void {
    this.rows.nowMs = this.#fleet.clock.monotonicMs()
    const state = this.#fleet.machines.get(id)?.state ?? 'destroyed'
    if (state === 'started') this.#startsUnderWay.delete(id)
    this.rows.change(id, { state })
    this.core.changed()
  }

  /** One request, with its retries, from arrival to its end. */
  request(durationMs: number, attempts: readonly string[] = []): void {
    const route = this.rows.table.lookup(ADDRESS, 80, 'tcp')
    assert(typeof route !== 'string')
    const wish = attempts.length === 0 ? NO_WISH : { ...NO_WISH, excluded: new Set(attempts) }
    const taken = this.core.take(route, wish)
    if (typeof taken !== 'string') this.#connect(taken, durationMs, attempts)
    else this.#wait(route, wish, taken, durationMs, attempts)
  }

  #wait(
    route: PortRoute,
    wish: Wish,
    reason: NoChoice,
    durationMs: number,
    attempts: readonly string[],
  ): void {
    this.core.wait(route, wish, reason, (answer) => {
      if ('code' in answer) this.refused += 1
      else this.#connect(answer, durationMs, attempts)
    })
  }

  #connect(service: ServiceEntry, durationMs: number, attempts: readonly string[]): void {
    const truth = this.#fleet.machines.get(service.machine.id) as TrueMachine
    const worker = this.#fleet.proxies.find(({ hostId }) => hostId === truth.host) as SimProxy
    const isUp = truth.state === 'started' && !this.#fleet.hostsDown.has(truth.host)
    if (!isUp) {
      this.core.failed(service)
      this.core.release(service)
      if (attempts.length < ROUTING_LIMITS.attempts) {
        const tried = attempts.length % 4 === 3 ? [] : [...attempts, service.machine.id]
        this.#fleet.clock.setTimer(() => this.request(durationMs, tried), 20)
      } else this.refused += 1
      return
    }
    service.succeeded()
    const own = [...(worker.rows.table.machine(truth.id)?.services ?? [])][0]
    if (worker !== this) own?.take()
    this.#fleet.clock.setTimer(() => {
      this.served += 1
      this.core.release(service)
      if (worker !== this && own !== undefined) worker.core.release(own)
    }, durationMs)
  }

  /** Fails the run when one need causes two starts. */
  #watched(waker: MachineWaker): MachineWaker {
    return {
      stop: (machine, how, done) => waker.stop(machine, how, done),
      start: (machine, deadlineMs, done) => {
        assert.ok(!this.#startsUnderWay.has(machine.id), 'a machine that is starting was started')
        for (const other of this.#startsUnderWay) {
          const region = this.#fleet.machines.get(other)?.region
          assert.notEqual(region, machine.region, 'two starts in a region for one need')
        }
        this.#startsUnderWay.add(machine.id)
        const ended = this.#fleet.clock.setTimer(
          () => this.#startsUnderWay.delete(machine.id),
          deadlineMs - 1,
        )
        waker.start(machine, deadlineMs, (result) => {
          ended[Symbol.dispose]()
          this.#startsUnderWay.delete(machine.id)
          done(result)
        })
      },
    }
  }
}
