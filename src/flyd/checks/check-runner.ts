import { type Clock, type Log, type Random, startDeadline } from '#base'
import { timeText } from '../machine-json.ts'
import type { MachineSeen } from '../model/machine-seen.ts'
import type { Change, MachineView } from '../model/machine-view.ts'
import type { Row } from '../rows/row.ts'
import { CheckCourse, type CheckReport } from './check-course.ts'
import { type CheckSpec, checkSpecs } from './check-spec.ts'
import { type ProbeTarget, probe } from './probe.ts'

export interface CheckRunnerOptions {
  readonly hostId: string
  readonly view: MachineView
  /** Undefined: it cannot be reached now. */
  readonly targetOf: (machine: MachineSeen) => ProbeTarget | undefined
  /** A row of this machine's checks should be written anew. */
  readonly onChange: (machineId: string) => void
  /** For the machine's log: its owner reads it. */
  readonly tell: (machineId: string, line: string) => void
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** At once, of all machines: more wait a little. */
const PROBES_MAX = 256
const CROWDED_MS = 100
/** An output that changes while the status stays is published at most so often. */
const REFRESH_MS = 60_000

/** One run of one machine with its checks. */
interface Watched {
  readonly key: string
  /** It ran when this process began: what was known of its checks counts until there is a result. */
  readonly isAdopted: boolean
  readonly checks: readonly Watching[]
  readonly stop: AbortController
}

interface Watching {
  readonly course: CheckCourse
  timer: Disposable | undefined
  /** What the row says. */
  shown: CheckReport
  shownAtMs: number
  /** Wall clock: when the status last changed. */
  changedWallMs: number
}

/** Probes the machines of this host while they are started, and knows what came of it. */
export class CheckRunner implements Disposable {
  readonly #options: CheckRunnerOptions
  readonly #machines = new Map<string, Watched>()
  readonly #watching: Disposable
  #probing = 0

  constructor(options: CheckRunnerOptions) {
    this.#options = options
    this.#watching = options.view.onChange((change) => this.#changed(change))
    for (const machine of options.view.machines()) this.#look(machine, true)
  }

  /** Probes under way. */
  get probeCount(): number {
    return this.#probing
  }

  get checkCount(): number {
    return this.#machines.values().reduce((sum, { checks }) => sum + checks.length, 0)
  }

  /** As `checks` of a machine in the API. A machine that does not run has checks, and they warn. */
  json(machine: MachineSeen): readonly unknown[] {
    return this.#shown(machine).map(({ spec, status, output, updatedAtMs }) => ({
      name: spec.name,
      status,
      output,
      updated_at: timeText(updatedAtMs),
    }))
  }

  /** Undefined: what the rows say is the best that is known. */
  rows(machine: MachineSeen): Row[] | undefined {
    const watched = this.#machines.get(machine.id)
    if (watched?.checks.some(({ course }) => isUnknown(watched, course))) return undefined
    return this.#shown(machine).map(({ spec, status, output, updatedAtMs }) => ({
      table: 'checks',
      key: [machine.id, spec.name],
      cells: {
        host_id: this.#options.hostId,
        app_id: machine.appId,
        status,
        is_service: Number(spec.isService),
        output,
        updated_at: updatedAtMs,
      },
    }))
  }

  [Symbol.dispose](): void {
    this.#watching[Symbol.dispose]()
    for (const watched of this.#machines.values()) release(watched)
    this.#machines.clear()
  }

  #shown(machine: MachineSeen) {
    if (machine.state === 'destroyed' || machine.state === 'destroying') return []
    const watched = this.#machines.get(machine.id)
    if (watched === undefined) {
      const { updatedAtMs } = machine
      const output = `the machine is ${machine.state}`
      return checkSpecs(machine.config).map((spec) => {
        return { spec, status: 'warning' as const, output, updatedAtMs }
      })
    }
    return watched.checks.map(({ course, shown: { status, output }, changedWallMs }) => ({
      spec: course.spec,
      status: isUnknown(watched, course) ? ('warning' as const) : status,
      output: isUnknown(watched, course) ? 'not checked yet' : output,
      updatedAtMs: changedWallMs,
    }))
  }

  #changed(change: Change): void {
    if (change.kind === 'machine') this.#look(change.machine, false)
    else if (change.kind === 'machine_forgotten') this.#drop(change.id)
  }

  /** Another version, or another start, is another run. */
  #look(machine: MachineSeen, isAdopted: boolean): void {
    const { id, state, version } = machine
    const before = this.#machines.get(id)
    if (before?.key === version && state === 'started') return
    const specs = state === 'started' ? checkSpecs(machine.config) : []
    if (specs.length === 0) {
      this.#drop(id)
      return
    }
    if (before !== undefined) release(before)
    const watched: Watched = {
      key: version,
      isAdopted,
      checks: specs.map((spec) => this.#newWatching(spec, isAdopted)),
      stop: new AbortController(),
    }
    this.#machines.set(id, watched)
    for (const one of watched.checks) this.#await(id, watched, one)
    this.#options.onChange(id)
  }

  /** The grace of a machine that ran before this process did is over. */
  #newWatching(spec: CheckSpec, isAdopted: boolean): Watching {
    const { clock, random } = this.#options
    const nowMs = clock.monotonicMs()
    const course = new CheckCourse(spec, isAdopted ? nowMs - spec.graceMs : nowMs, random)
    const shown = course.report
    return { course, timer: undefined, shown, shownAtMs: nowMs, changedWallMs: clock.nowMs() }
  }

  #drop(id: string): void {
    const watched = this.#machines.get(id)
    if (watched === undefined) return
    release(watched)
    this.#machines.delete(id)
    this.#options.onChange(id)
  }

  #await(id: string, watched: Watched, one: Watching): void {
    const { clock } = this.#options
    const waitMs = Math.max(0, one.course.dueAtMs - clock.monotonicMs())
    one.timer = clock.setTimer(() => void this.#probe(id, watched, one), waitMs)
  }

  /** Never rejects. */
  async #probe(id: string, watched: Watched, one: Watching): Promise<void> {
    const { clock, view } = this.#options
    if (this.#probing >= PROBES_MAX) {
      one.timer = clock.setTimer(() => void this.#probe(id, watched, one), CROWDED_MS)
      return
    }
    const machine = view.machine(id)
    if (machine === undefined || watched.stop.signal.aborted) return
    const { course } = one
    this.#probing += 1
    course.begin()
    const result = await this.#result(machine, course.spec, watched.stop.signal)
    this.#probing -= 1
    if (watched.stop.signal.aborted) return
    const isChanged = course.ended(result, clock.monotonicMs())
    if (isChanged) this.#tell(id, course)
    this.#show(id, one, isChanged)
    this.#await(id, watched, one)
  }

  async #result(machine: MachineSeen, spec: CheckSpec, stop: AbortSignal) {
    const target = this.#options.targetOf(machine)
    if (target === undefined) return { status: 'critical', output: 'not reachable' } as const
    using deadline = startDeadline(`check ${spec.name}`, spec.timeoutMs, {
      signal: stop,
      clock: this.#options.clock,
    })
    return await probe(spec.probe, target, deadline.signal)
  }

  #show(id: string, one: Watching, isChanged: boolean): void {
    const nowMs = this.#options.clock.monotonicMs()
    const { report } = one.course
    if (isChanged) one.changedWallMs = this.#options.clock.nowMs()
    const isNew = one.shown.output === '' && one.shown !== report && !isChanged
    const isOther = report.output !== one.shown.output && nowMs - one.shownAtMs >= REFRESH_MS
    if (!isChanged && !isNew && !isOther) return
    one.shown = report
    one.shownAtMs = nowMs
    this.#options.onChange(id)
  }

  #tell(id: string, { spec, report }: CheckCourse): void {
    const { tell, log } = this.#options
    const where = spec.probe.type === 'script' ? '' : ` on port ${spec.probe.port}`
    const isPassing = report.status === 'passing'
    const said = isPassing ? 'is now passing' : `has failed: ${report.output}`
    tell(id, `Health check '${spec.name}'${where} ${said}`)
    log.debug({ machine: id, check: spec.name, status: report.status }, 'a check changed')
  }
}

const isUnknown = ({ isAdopted }: Watched, { isKnown }: CheckCourse) => isAdopted && !isKnown

function release({ checks, stop }: Watched): void {
  stop.abort(new Error('the machine runs no more'))
  for (const { timer } of checks) timer?.[Symbol.dispose]()
}
