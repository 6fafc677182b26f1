import type { NodeEnv } from '#sim'
import { type HostId, parseHostId, type Region } from './host.ts'
import {
  type Placement,
  type PlacementAction,
  type PlacementEvent,
  PlacementRun,
} from './placement.ts'
import type { PlacementLimits } from './placement-limits.ts'
import type { PlacementRequest } from './placement-request.ts'
import type { Choose } from './ranking.ts'
import type { Letter, SimFleet } from './sim-fleet.fixture.ts'

/** A call to a host is repeated so often, as a client does after a 502. */
const CALL_PERIOD_MS = 400
/** After that nobody knows whether the machine was created: it is destroyed, until the host says so. */
const CREATE_CALLS_MAX = 25

export type CreateEnd =
  | { readonly type: 'created'; readonly machine: string; readonly placement: Placement }
  | { readonly type: 'refused'; readonly code: string }
  /** The reservation had ended: its host died, or it took too long. */
  | { readonly type: 'gone' }
  /** Whoever asked died between the reservation and its use. */
  | { readonly type: 'abandoned' }
  /** The host does not answer any more. */
  | { readonly type: 'unknown' }

export interface FrontOptions {
  readonly fleet: SimFleet
  readonly limits: PlacementLimits
  readonly choose: Choose
  /** So many callers die once room is reserved for them, without a word. */
  readonly abandonRatio: number
}

interface Creating {
  readonly request: PlacementRequest
  readonly run: PlacementRun
  readonly done: (end: CreateEnd) => void
  timer: Disposable | undefined
}

/** A call that is repeated until it is answered. */
interface Calling {
  readonly letter: Letter
  readonly host: HostId
  calls: number
  readonly callsMax: number
  readonly answered: (letter: Letter | undefined) => void
  timer: Disposable | undefined
}

/** What flaps does, as far as the market sees it: place, create on the host, destroy. */
export class SimFront {
  readonly #env: NodeEnv
  readonly #options: FrontOptions
  readonly #creating = new Map<string, Creating>()
  readonly #calling = new Map<string, Calling>()
  #made = 0

  constructor(env: NodeEnv, options: FrontOptions) {
    this.#env = env
    this.#options = options
    env.network.bind((payload, from) => this.#receive(payload as Letter, parseHostId(from)))
  }

  /** Nothing is under way. */
  get isIdle(): boolean {
    return this.#creating.size === 0 && this.#calling.size === 0
  }

  create(request: PlacementRequest, done: (end: CreateEnd) => void): void {
    const { fleet, limits, choose } = this.#options
    const hostsIn = (region: Region) => fleet.hostsIn(region).length
    const newReservation = () => this.#newId('r')
    const options = { request, limits, choose, random: this.#env.random, newReservation, hostsIn }
    const run = new PlacementRun(options, this.#env.clock.monotonicMs())
    const machine = this.#newId('m')
    const creating: Creating = { request, run, done, timer: undefined }
    this.#creating.set(machine, creating)
    this.#perform(machine, creating, run.start(this.#env.clock.monotonicMs()))
  }

  destroy(machine: string, host: HostId, done: () => void): void {
    this.#call(machine, {
      host,
      letter: { type: 'destroy', key: machine },
      callsMax: Infinity,
      answered: done,
    })
  }

  #newId(kind: string): string {
    this.#made += 1
    return `${kind}-${this.#env.id}-${this.#made}`
  }

  #receive(letter: Letter, host: HostId): void {
    if (letter.type === 'answer') this.#step(letter.key, { ...letter, type: 'answered', host })
    if (letter.type === 'reserved') {
      this.#step(letter.key, { ...letter, type: 'orderAnswered', host })
    }
    if (letter.type === 'created' || letter.type === 'destroyed') this.#answered(letter)
  }

  #step(key: string, event: PlacementEvent): void {
    const creating = this.#creating.get(key)
    if (creating === undefined) return
    this.#perform(key, creating, creating.run.step(event, this.#env.clock.monotonicMs()))
  }

  #perform(key: string, creating: Creating, actions: readonly PlacementAction[]): void {
    for (const action of actions) this.#performOne(key, creating, action)
    creating.timer?.[Symbol.dispose]()
    creating.timer = undefined
    const waitMs = creating.run.wakeAtMs - this.#env.clock.monotonicMs()
    if (waitMs === Infinity) return
    const onTimer = () => this.#step(key, { type: 'clockTicked' })
    creating.timer = this.#env.clock.setTimer(onTimer, Math.max(1, waitMs))
  }

  #performOne(key: string, { request, done }: Creating, action: PlacementAction): void {
    const { network } = this.#env
    switch (action.type) {
      case 'ask':
        if (action.to.host === undefined) this.#ask(key, action.ask, action.to.region, request)
        break
      case 'reserve':
        network.send(action.host, { ...action, key, request } satisfies Letter)
        break
      case 'cancel':
        network.send(action.host, {
          type: 'cancel',
          reservation: action.reservation,
        } satisfies Letter)
        break
      case 'fail':
        this.#creating.delete(key)
        done({ type: 'refused', code: action.error.code })
        break
      case 'succeed':
        this.#creating.delete(key)
        if (this.#env.random.next() < this.#options.abandonRatio) done({ type: 'abandoned' })
        else this.#createOn(key, request, action.placement, done)
    }
  }

  #ask(key: string, ask: number, region: Region, request: PlacementRequest): void {
    const letter: Letter = { type: 'ask', key, ask, request }
    for (const { facts } of this.#options.fleet.hostsIn(region))
      this.#env.network.send(facts.host, letter)
  }

  #createOn(
    key: string,
    request: PlacementRequest,
    placement: Placement,
    done: (end: CreateEnd) => void,
  ): void {
    const { host, reservation } = placement
    const answered = (letter: Letter | undefined) => {
      if (letter?.type === 'created') {
        done(letter.isGone ? { type: 'gone' } : { type: 'created', machine: key, placement })
      } else this.destroy(key, host, () => done({ type: 'unknown' }))
    }
    const letter: Letter = { type: 'create', key, reservation, request }
    this.#call(key, { host, letter, callsMax: CREATE_CALLS_MAX, answered })
  }

  #call(key: string, call: Omit<Calling, 'calls' | 'timer'>): void {
    const calling: Calling = { ...call, calls: 0, timer: undefined }
    this.#calling.set(key, calling)
    this.#callAgain(key, calling)
  }

  #callAgain(key: string, calling: Calling): void {
    if (calling.calls >= calling.callsMax) {
      this.#calling.delete(key)
      calling.answered(undefined)
      return
    }
    calling.calls += 1
    this.#env.network.send(calling.host, calling.letter)
    const again = () => this.#callAgain(key, calling)
    calling.timer = this.#env.clock.setTimer(again, CALL_PERIOD_MS)
  }

  /** A late answer to a call that has ended finds nobody, or a call of another kind. */
  #answered(letter: Letter & { key: string }): void {
    const calling = this.#calling.get(letter.key)
    const isFor = calling?.letter.type === 'create' ? 'created' : 'destroyed'
    if (calling === undefined || letter.type !== isFor) return
    calling.timer?.[Symbol.dispose]()
    this.#calling.delete(letter.key)
    calling.answered(letter)
  }
}
