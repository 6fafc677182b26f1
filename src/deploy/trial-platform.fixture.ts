import {
  ApiError,
  type Machine,
  type MachineConfig,
  type MachineEvent,
  type Volume,
} from '#flaps-client'
import type { LeapingClock } from './leaping-clock.fixture.ts'
import type { Machines, Platform } from './platform.ts'

/** How machines of an image behave. */
export interface Behaviour {
  /** @default started: lives and passes its checks */
  readonly outcome?:
    | 'healthy'
    | 'unhealthy'
    | 'crashes'
    | 'never starts'
    | 'no such image'
    | 'exits 0'
    | 'exits 1'
}

interface Trial {
  machine: Machine
  config: MachineConfig
  lease?: { nonce: string; untilMs: number }
}

/** A row comes later than the answer of the host. */
const ROW_LATE_MS = 700
const NO_IMAGE = { error: 'the registry has no such image' }

const refused = (code: ConstructorParameters<typeof ApiError>[0], what: string) =>
  new ApiError(code, { what })

/** The Machines API in memory, with machines that behave as their image is told to. */
export class TrialPlatform implements Platform {
  readonly clock: LeapingClock
  readonly #behaviour: Readonly<Record<string, Behaviour>>
  readonly #trials = new Map<string, Trial>()
  readonly #volumes: Volume[] = []
  /** Versions that machines did not get. */
  readonly #reverted = new Set<string>()
  /** What was asked, in order. */
  readonly log: string[] = []
  readonly assigned: string[] = []
  /** No address of this kind is free. */
  taken = ''
  /** Most machines that were being changed at once. */
  busiest = 0
  /** Fewest machines that were started and took requests, since the last reset. */
  leastServing = Number.POSITIVE_INFINITY
  #serial = 0
  /** Called before each act. */
  onAct: (act: string, id: string) => void = () => undefined

  constructor(clock: LeapingClock, behaviour: Readonly<Record<string, Behaviour>> = {}) {
    this.clock = clock
    this.#behaviour = behaviour
  }

  readonly machines: Machines = {
    list: async () => this.all(),
    get: async (id) => this.#of(id).machine,
    create: async ({ config, region = 'ams', name = '', ...input }) => {
      const id = this.#id()
      this.#act('create', id)
      const trial: Trial = { config, machine: this.#fresh(id, name, region, config) }
      this.#trials.set(id, trial)
      this.#set(trial, { cordoned: input.skip_service_registration === true })
      this.#claim(trial)
      if (input.skip_launch === true)
        this.#event(trial, 'stopped', { type: 'launch', status: 'created', source: 'user' })
      else this.#launch(trial)
      return trial.machine
    },
    update: async (id, { config, skip_launch: skip }, call) => {
      const trial = this.#of(id)
      this.#act('update', id)
      this.#checkLease(trial, call?.nonce)
      const rests = trial.machine.state === 'stopped' || skip === true
      if (this.#outcome(config) === 'no such image') return this.#revert(trial)
      trial.config = config
      this.#set(trial, { config, instance_id: `v${this.#next()}` })
      this.#event(trial, 'replacing', { type: 'update', status: 'replacing', source: 'user' })
      if (rests)
        this.#event(trial, 'stopped', { type: 'update', status: 'stopped', source: 'flyd' })
      else this.#launch(trial)
      return trial.machine
    },
    start: async (id) => {
      const trial = this.#of(id)
      this.#act('start', id)
      const previous = trial.machine.state
      this.#launch(trial)
      return { previous_state: previous }
    },
    stop: async (id) => {
      const trial = this.#of(id)
      this.#act('stop', id)
      this.#event(trial, 'stopped', exitEvent({ exit_code: 0, requested_stop: true }))
    },
    destroy: async (id) => {
      if (!this.#trials.has(id)) return
      this.#act('destroy', id)
      this.#release(this.#of(id))
      this.#trials.delete(id)
      this.#count()
    },
    setCordoned: async (id, isCordoned) => {
      this.#act(isCordoned ? 'cordon' : 'uncordon', id)
      this.#set(this.#of(id), { cordoned: isCordoned })
      this.#count()
    },
    wait: async (id, { states, timeoutMs, version = '' }, call) => {
      if (this.#reverted.has(version)) throw refused('api.conflict', 'aborted: replaced')
      const endMs = this.clock.monotonicMs() + timeoutMs
      while (!states.includes(this.#of(id).machine.state)) {
        if (this.clock.monotonicMs() >= endMs) throw refused('api.not_reached', 'deadline_exceeded')
        await this.clock.sleep(100, call?.signal)
      }
    },
    lease: async (id, ttlS, call) => {
      const trial = this.#of(id)
      const isHeld = (trial.lease?.untilMs ?? 0) > this.clock.nowMs()
      if (isHeld && trial.lease?.nonce !== call?.nonce) throw refused('api.conflict', 'lease held')
      const nonce = call?.nonce ?? `n${this.#next()}`
      trial.lease = { nonce, untilMs: this.clock.nowMs() + ttlS * 1000 }
      const held = [...this.#trials.values()].filter(
        ({ lease }) => (lease?.untilMs ?? 0) > this.clock.nowMs(),
      )
      this.busiest = Math.max(this.busiest, held.length)
      return { nonce, expires_at: 0, owner: 'me', version: trial.machine.instance_id }
    },
    release: async (id, nonce) => {
      const trial = this.#trials.get(id)
      if (trial?.lease?.nonce === nonce) delete trial.lease
    },
  }

  volumes = async () => this.#volumes
  nearestRegion = async () => 'nrt'
  ips = async () =>
    this.assigned.map((kind) => ({
      ip: kind.endsWith('v4') ? '203.0.113.1' : '2001:db8::1',
      shared: kind === 'shared_v4',
    }))

  async createVolume({ name, region, sizeGb }: { name: string; region: string; sizeGb: number }) {
    const volume = { ...NEW_VOLUME, id: `vol_${this.#next()}`, name, region, size_gb: sizeGb }
    this.#volumes.push(volume)
    return volume
  }

  async assignIp(kind: string) {
    if (kind === this.taken) throw refused('api.refused', `no ${kind} is free`)
    this.assigned.push(kind)
    return { ip: kind }
  }

  all = () => [...this.#trials.values()].map(({ machine }) => machine)
  images = () => this.all().map(({ config }) => config?.image)
  leased = () => [...this.#trials.values()].filter(({ lease }) => lease !== undefined).length

  /** Somebody else's doing. */
  change(id: string, fields: Partial<Machine>): void {
    this.#set(this.#of(id), fields)
  }

  holdLease(id: string, forMs: number): void {
    this.#of(id).lease = { nonce: 'other', untilMs: this.clock.nowMs() + forMs }
  }

  #outcome({ image = '' }: MachineConfig) {
    return this.#behaviour[image]?.outcome ?? 'healthy'
  }

  /** Its host cannot prepare the new version, and the machine goes on with the old one. */
  #revert(trial: Trial): Machine {
    const { state } = trial.machine
    const version = `v${this.#next()}`
    this.#reverted.add(version)
    this.#event(trial, 'replacing', { type: 'update', status: 'replacing', source: 'user' })
    const failed = { type: 'update', status: state, source: 'flyd', request: NO_IMAGE }
    this.clock.setTimer(() => this.#event(trial, state, failed), ROW_LATE_MS)
    return { ...trial.machine, instance_id: version }
  }

  #launch(trial: Trial): void {
    this.#event(trial, 'starting', { type: 'start', status: 'starting', source: 'user' })
    const outcome = this.#outcome(trial.config)
    if (outcome === 'never starts') return
    if (outcome === 'no such image') {
      const failed = { type: 'start', status: 'failed', source: 'flyd', request: NO_IMAGE }
      this.#event(trial, 'failed', failed)
      return
    }
    this.clock.setTimer(() => {
      if (!this.#trials.has(trial.machine.id)) return
      this.#event(trial, 'started', { type: 'start', status: 'started', source: 'flyd' })
      if (outcome === 'crashes') this.#endLater(trial, 1, 2_000)
      else if (outcome === 'exits 0') this.#endLater(trial, 0, 100)
      else if (outcome === 'exits 1') this.#endLater(trial, 1, 100)
      this.clock.setTimer(() => this.#report(trial, outcome === 'unhealthy'), 1_500)
    }, 1_000)
  }

  #endLater(trial: Trial, code: number, afterMs: number): void {
    this.clock.setTimer(() => {
      if (!this.#trials.has(trial.machine.id)) return
      this.#event(trial, 'stopped', exitEvent({ exit_code: code, restarting: false }))
    }, afterMs)
  }

  #report(trial: Trial, isFailing: boolean): void {
    const count = (trial.config.services ?? []).flatMap(({ checks }) => checks ?? []).length
    const status = isFailing ? ('critical' as const) : ('passing' as const)
    const checks = Array.from({ length: count }, (_, index) => ({
      name: `servicecheck-0${index}-http-8080`,
      status,
      output: isFailing ? 'connect: connection refused' : 'ok',
      updated_at: '2026-01-01T00:00:00Z',
    }))
    this.#set(trial, { checks })
    this.#count()
  }

  #event(trial: Trial, state: string, event: Omit<MachineEvent, 'timestamp'>): void {
    const events = [{ ...event, timestamp: this.clock.nowMs() }, ...(trial.machine.events ?? [])]
    this.#set(trial, { state, events, ...(state === 'started' ? {} : { checks: [] }) })
    this.#count()
  }

  #set(trial: Trial, fields: Partial<Machine>): void {
    trial.machine = { ...trial.machine, ...fields }
  }

  #count(): void {
    const serving = this.all().filter(
      ({ state, cordoned, checks = [] }) =>
        state === 'started' &&
        cordoned !== true &&
        checks.every(({ status }) => status === 'passing') &&
        checks.length > 0,
    )
    this.leastServing = Math.min(this.leastServing, serving.length)
  }

  #act(act: string, id: string): void {
    this.log.push(`${act} ${id}`)
    this.onAct(act, id)
  }

  #of(id: string): Trial {
    const trial = this.#trials.get(id)
    if (trial === undefined) throw refused('api.not_found', 'not_found: machine not found')
    return trial
  }

  #checkLease(trial: Trial, nonce: string | undefined): void {
    const { lease } = trial
    if (lease !== undefined && lease.untilMs > this.clock.nowMs() && lease.nonce !== nonce) {
      throw refused('api.conflict', 'aborted: lease currently held')
    }
  }

  #claim({ config, machine }: Trial): void {
    for (const { volume: id } of config.mounts ?? []) {
      const at = this.#volumes.findIndex((volume) => volume.id === id)
      if (at >= 0)
        this.#volumes[at] = { ...(this.#volumes[at] as Volume), attached_machine_id: machine.id }
    }
  }

  #release({ machine }: Trial): void {
    for (const [at, volume] of this.#volumes.entries()) {
      if (volume.attached_machine_id === machine.id) {
        this.#volumes[at] = { ...volume, attached_machine_id: null }
      }
    }
  }

  #fresh(id: string, name: string, region: string, config: MachineConfig): Machine {
    const time = '2026-01-01T00:00:00Z'
    return {
      ...{ id, name, region, config, state: 'created', instance_id: `v${this.#next()}` },
      ...{ private_ip: '', created_at: time, updated_at: time, image_ref: {}, host_status: 'ok' },
      events: [],
      checks: [],
    }
  }

  #next = () => {
    this.#serial += 1
    return this.#serial
  }

  #id = () => `m${String(this.#next()).padStart(4, '0')}`
}

const NEW_VOLUME = {
  ...{ state: 'created', zone: 'z', encrypted: true, attached_machine_id: null },
  ...{ created_at: '2026-01-01T00:00:00Z', host_status: 'ok' },
}

const exitEvent = (exit: NonNullable<NonNullable<MachineEvent['request']>['exit_event']>) => ({
  type: 'exit',
  status: 'stopped',
  source: 'flyd',
  request: { exit_event: exit },
})
