import assert from 'node:assert/strict'
import { errorCode } from '#base'
import type { NodeEnv, SimNode, World } from '#sim'
import type { Answer } from './bid.ts'
import { Bidder } from './bidder.ts'
import type { HostCapacity } from './capacity.ts'
import { CapacityBook } from './capacity-book.ts'
import { type HostFacts, parseHostId, parseRegion, type Region } from './host.ts'
import type { PlacementRequest } from './placement-request.ts'
import type { Refusal } from './refusal.ts'

/** What travels in the simulated world. `key` is the placement, or the machine. */
export type Letter =
  | {
      readonly type: 'ask'
      readonly key: string
      readonly ask: number
      readonly request: PlacementRequest
    }
  | { readonly type: 'answer'; readonly key: string; readonly ask: number; readonly answer: Answer }
  | {
      readonly type: 'reserve'
      readonly key: string
      readonly reservation: string
      readonly ttlMs: number
      readonly request: PlacementRequest
    }
  | {
      readonly type: 'reserved'
      readonly key: string
      readonly reservation: string
      readonly refusal?: Refusal | undefined
    }
  | { readonly type: 'cancel'; readonly reservation: string }
  | {
      readonly type: 'create'
      readonly key: string
      readonly reservation: string
      readonly request: PlacementRequest
    }
  | { readonly type: 'created'; readonly key: string; readonly isGone: boolean }
  | { readonly type: 'destroy'; readonly key: string }
  | { readonly type: 'destroyed'; readonly key: string }

/** What happened to all reservations of a fleet. */
export interface Ledger {
  reserved: number
  confirmed: number
  cancelled: number
  expired: number
  /** Open when their host died: nobody holds anything for them any more. */
  diedWithHost: number
}

/** What a host's disk holds: its machines, by id. */
type MachineLog = Map<string, PlacementRequest>

/** One life of a simulated host: book and bidder, over a log that outlives it. */
export class SimHost {
  readonly book: CapacityBook
  readonly #env: NodeEnv
  readonly #bidder: Bidder
  readonly #machines: MachineLog
  readonly #apps = new Map<string, number>()
  readonly #ledger: Ledger
  #timer: Disposable | undefined

  constructor(
    env: NodeEnv,
    facts: HostFacts,
    capacity: HostCapacity,
    machines: MachineLog,
    ledger: Ledger,
  ) {
    this.#env = env
    this.#machines = machines
    this.#ledger = ledger
    this.book = new CapacityBook({ capacity })
    for (const [machine, request] of machines) {
      this.book.restore(machine, { needs: needsOf(request) })
      this.#count(request.app, 1)
    }
    const view = {
      holds: (id: string) => machines.has(id),
      countOfApp: (app: string) => this.#apps.get(app) ?? 0,
      hasImage: () => false,
    }
    this.#bidder = new Bidder({ facts, book: this.book, view })
    env.network.bind((payload, from) => this.#receive(payload as Letter, from))
  }

  #receive(letter: Letter, from: string): void {
    const answer = this.#answer(letter)
    if (answer !== undefined) this.#env.network.send(from, answer)
  }

  #answer(letter: Letter): Letter | undefined {
    const nowMs = this.#env.clock.monotonicMs()
    switch (letter.type) {
      case 'ask': {
        const { key, ask, request } = letter
        return { type: 'answer', key, ask, answer: this.#bidder.answer(request, nowMs) }
      }
      case 'reserve':
        return this.#reserve(letter, nowMs)
      case 'cancel': {
        const before = this.book.reservationCount
        this.#bidder.cancel(letter.reservation)
        this.#ledger.cancelled += before - this.book.reservationCount
        return undefined
      }
      case 'create':
        return { type: 'created', key: letter.key, isGone: !this.#create(letter, nowMs) }
      case 'destroy':
        this.#destroy(letter.key)
        return { type: 'destroyed', key: letter.key }
      default:
        return undefined
    }
  }

  #reserve(letter: Letter & { type: 'reserve' }, nowMs: number): Letter {
    const { key, reservation, request, ttlMs } = letter
    const before = this.book.reservationCount
    const refusal = this.#bidder.reserve(reservation, request, ttlMs, nowMs)
    this.#ledger.reserved += this.book.reservationCount - before
    this.assertWithin()
    this.#timer ??= this.#wakeForExpiry()
    return { type: 'reserved', key, reservation, refusal }
  }

  /** As flyd does: confirmed in the book, and in the log before anybody hears of it. */
  #create({ key, reservation, request }: Letter & { type: 'create' }, nowMs: number): boolean {
    if (this.#machines.has(key)) return true
    try {
      this.book.confirm(reservation, key, nowMs)
    } catch (error) {
      assert.equal(errorCode(error), 'market.reservation_gone')
      return false
    }
    this.#ledger.confirmed += 1
    this.#machines.set(key, request)
    this.#count(request.app, 1)
    return true
  }

  #destroy(machine: string): void {
    const request = this.#machines.get(machine)
    if (request === undefined) return
    this.book.release(machine)
    this.#machines.delete(machine)
    this.#count(request.app, -1)
  }

  #count(app: string, change: number): void {
    const count = (this.#apps.get(app) ?? 0) + change
    if (count === 0) this.#apps.delete(app)
    else this.#apps.set(app, count)
  }

  #wakeForExpiry(): Disposable | undefined {
    const waitMs = this.book.wakeAtMs - this.#env.clock.monotonicMs()
    if (waitMs === Infinity) return undefined
    return this.#env.clock.setTimer(
      () => {
        this.#ledger.expired += this.book.expire(this.#env.clock.monotonicMs()).length
        this.#timer = this.#wakeForExpiry()
      },
      Math.max(1, waitMs),
    )
  }

  assertWithin(): void {
    const { used, limits } = this.book
    for (const name of ['cpuMicros', 'memoryMb', 'machines', 'volumeBytes'] as const) {
      assert.ok(used[name] <= limits[name], `${this.#env.id} is over-committed in ${name}`)
    }
  }

  /** A second account of the same, from the log alone: vCPUs by the ratio, and memory. */
  assertSumOfMachines({ cpus, memoryMb }: HostCapacity): void {
    let threads = 0
    let memory = 0
    for (const { guest } of this.#machines.values()) {
      threads += (guest?.cpus ?? 0) / (guest?.cpuKind === 'shared' ? 16 : 1)
      memory += guest?.memoryMb ?? 0
    }
    assert.ok(threads <= cpus, `${this.#env.id} sold ${threads} of ${cpus} threads`)
    assert.ok(memory <= memoryMb, `${this.#env.id} sold ${memory} of ${memoryMb} MiB`)
  }
}

export const needsOf = ({ guest, volumeBytes = 0 }: PlacementRequest) =>
  guest === undefined ? { volumeBytes } : { guest, volumeBytes }

/** Threads and memory of the servers that make up a fleet, in turn. */
const SIZES = [
  { cpus: 32, memoryMb: 131_072 },
  { cpus: 48, memoryMb: 196_608 },
  { cpus: 64, memoryMb: 262_144 },
] as const
const VOLUME_BYTES = 4 * 2 ** 40

export interface FleetHost {
  readonly facts: HostFacts
  readonly capacity: HostCapacity
  readonly machines: MachineLog
  readonly node: SimNode<SimHost>
}

/** All hosts of a simulated world, and what became of their reservations. */
export class SimFleet {
  readonly hosts: readonly FleetHost[]
  readonly regions: readonly Region[]
  readonly ledger: Ledger = { reserved: 0, confirmed: 0, cancelled: 0, expired: 0, diedWithHost: 0 }
  readonly #byRegion: ReadonlyMap<Region, readonly FleetHost[]>

  constructor(world: World, hostCount: number, regionCount: number) {
    this.regions = Array.from({ length: regionCount }, (_, at) => parseRegion(`r${at}`))
    this.hosts = Array.from({ length: hostCount }, (_, at) => this.#add(world, at))
    this.#byRegion = Map.groupBy(this.hosts, ({ facts }) => facts.region)
  }

  hostsIn(region: Region): readonly FleetHost[] {
    return this.#byRegion.get(region) ?? []
  }

  #add(world: World, at: number): FleetHost {
    const region = this.regions[at % this.regions.length]
    assert(region !== undefined, 'a fleet has a region')
    const host = parseHostId(`h${at}`)
    const facts = { host, region, hardware: `size-${at % SIZES.length}` }
    const size = SIZES[Math.floor(at / this.regions.length) % SIZES.length] ?? SIZES[0]
    const capacity = { ...size, volumeBytes: VOLUME_BYTES }
    const machines: MachineLog = new Map()
    let last: SimHost | undefined
    const node = world.addNode(host, (env) => {
      this.ledger.diedWithHost += last?.book.reservationCount ?? 0
      last = new SimHost(env, facts, capacity, machines, this.ledger)
      return last
    })
    return { facts, capacity, machines, node }
  }
}
