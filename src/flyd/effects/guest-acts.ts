import { type Clock, firstOf, type Log, type MachineId, parseMachineId, type Random } from '#base'
import type { Agent, Guest, GuestState, Runtime } from '#guest'
import { type MachinePlan, startMachine, stopSignalOf } from '#machine'
import type { Figure } from '#observe'
import { refuse } from '../errors.ts'
import type { ExecOptions, ExecResult, MachineMemory } from '../host.ts'
import type { LogSink } from '../logs/machine-logs.ts'
import type { AskApi } from '../machine-api/serve-api-socket.ts'
import type { GuestExit } from '../model/guest-exit.ts'
import type { MachineSubject } from '../model/machine-subject.ts'
import type { ExitRecords } from './exit-records.ts'
import { act } from './fatal-errors.ts'
import { GuestSession } from './guest-session.ts'
import { listProcesses } from './list-processes.ts'
import type { GuestPresence } from './machine-effects.ts'
import { limitMemory, readMemory, reclaimMemory } from './machine-memory.ts'
import { readStats } from './machine-stats.ts'
import { runExec } from './run-exec.ts'

/** What a machine is booted and started with. */
export type PlanOf = (
  subject: MachineSubject,
  running: Guest | undefined,
  signal: AbortSignal,
) => Promise<MachinePlan>

export interface GuestActsOptions {
  readonly runtime: Runtime
  readonly planOf: PlanOf
  readonly exits: ExitRecords
  readonly logs: LogSink
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Absent: machines have no socket of the API. */
  readonly askApi?: AskApi | undefined
}

/** Between the call to stop and the end of the guest, beside what the entrypoint takes. */
const AFTER_STOP_MS = 3_000

/** The guests of this host, each with the session that this process has with it. */
export class GuestActs implements Disposable {
  readonly #options: GuestActsOptions
  readonly #sessions = new Map<string, GuestSession>()
  readonly #listeners = new Set<(id: string, exit: GuestExit) => void>()

  constructor(options: GuestActsOptions) {
    this.#options = options
  }

  /** Guests that this process looks after. */
  get count(): number {
    return this.#sessions.size
  }

  /** Lets go of all: they run on. */
  [Symbol.dispose](): void {
    for (const session of this.#sessions.values()) session[Symbol.dispose]()
    this.#sessions.clear()
  }

  boot(subject: MachineSubject, signal: AbortSignal): Promise<void> {
    return act(async () => {
      const id = parseMachineId(subject.id)
      const { runtime, exits, planOf } = this.#options
      if ((await this.#presentSession(id, signal)) !== undefined) return
      await runtime.remove(id, { signal })
      exits.forget(id)
      const { spec } = await planOf(subject, undefined, signal)
      this.#watch(id, await runtime.boot(spec, { signal }))
    })
  }

  startEntrypoint(subject: MachineSubject, signal: AbortSignal): Promise<void> {
    return act(async () => {
      const id = parseMachineId(subject.id)
      const session = await this.#presentSession(id, signal)
      if (session === undefined) {
        if (this.#options.exits.of(id) !== undefined) return // it ran, and that is over
        throw new Error('the guest has ended before its command was started')
      }
      const agent = await session.agent(signal)
      if (agent.entrypoint.phase !== 'new') return
      const { guest } = session
      const plan = await this.#options.planOf(subject, guest, signal)
      const onConfigured = () => session.serveApi(agent)
      await startMachine({ agent, guest }, plan, { signal, onConfigured })
    })
  }

  stopEntrypoint(
    id: string,
    options: { readonly signal: string; readonly timeoutMs: number },
    signal: AbortSignal,
  ): Promise<GuestExit | undefined> {
    return act(async () => {
      const session = await this.#presentSession(parseMachineId(id), signal)
      if (session === undefined) return this.#options.exits.of(id)
      const { timeoutMs } = options
      const agent = await session.agent(signal)
      await agent.stop({ stopSignal: stopSignalOf(options.signal), timeoutMs, signal })
      return await within(session.ended, timeoutMs + AFTER_STOP_MS, this.#options.clock, signal)
    })
  }

  removeGuest(id: string, signal: AbortSignal): Promise<GuestExit | undefined> {
    return act(async () => {
      const machine = parseMachineId(id)
      const session = await this.#presentSession(machine, signal)
      if (session !== undefined) {
        await session.guest.kill({ signal })
        await session.ended
      }
      this.#sessions.delete(id)
      await this.#options.runtime.remove(machine, { signal })
      return this.#options.exits.of(id)
    })
  }

  suspend(id: string, signal: AbortSignal): Promise<void> {
    return act(async () => {
      const machine = parseMachineId(id)
      if ((await this.#stateOf(machine)) === 'suspended') return
      const session = await this.#presentSession(machine, signal)
      if (session === undefined) throw new Error('there is no guest to suspend')
      await session.guest.suspend({ signal })
      session[Symbol.dispose]()
      this.#sessions.delete(id)
    })
  }

  resume({ id }: MachineSubject, signal: AbortSignal): Promise<'resumed' | 'cold'> {
    return act(async () => {
      const machine = parseMachineId(id)
      const { runtime, clock, log } = this.#options
      if ((await this.#presentSession(machine, signal)) !== undefined) return 'resumed'
      try {
        const session = this.#watch(machine, await runtime.resume(machine, { signal }))
        if (runtime.kind === 'runc') return 'resumed' // its clock is the host's
        const agent = await session.agent(signal)
        await agent.setClock(clock.nowMs(), { signal })
        return 'resumed'
      } catch (err) {
        if (signal.aborted) throw signal.reason
        log.warn({ err, machine: id }, 'a suspended machine cannot be continued: it boots anew')
        await this.removeGuest(id, signal)
        return 'cold'
      }
    })
  }

  async adopt({ id }: MachineSubject, signal: AbortSignal): Promise<GuestPresence> {
    const machine = parseMachineId(id)
    const { exits } = this.#options
    if ((await this.#stateOf(machine)) === 'suspended') return { state: 'suspended' }
    const session = await this.#presentSession(machine, signal)
    if (session !== undefined) {
      const agent = await session.agent(signal)
      const { phase } = agent.entrypoint
      if (phase !== 'exited' && phase !== 'failed') return { state: 'running' }
      return { state: 'ended', exit: await session.ended }
    }
    const exit = exits.of(id)
    if (exit !== undefined) return { state: 'ended', exit }
    const state = await this.#stateOf(machine)
    return state === undefined ? { state: 'absent' } : { state: 'ended', exit: undefined }
  }

  /** Ids of which the runtime has anything, and of guests whose end is remembered. */
  async list(): Promise<string[]> {
    const guests = await this.#options.runtime.list()
    return guests.map(({ id }) => id)
  }

  onGuestEnd(listener: (id: string, exit: GuestExit) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  signal(id: string, name: string, signal: AbortSignal): Promise<void> {
    return this.#withAgent(id, signal, (agent) => agent.signal(stopSignalOf(name), { signal }))
  }

  exec(id: string, options: ExecOptions, signal: AbortSignal): Promise<ExecResult> {
    return this.#withAgent(id, signal, (agent) => runExec(agent, options, signal))
  }

  processes(id: string, signal: AbortSignal): Promise<readonly Record<string, unknown>[]> {
    return this.#withAgent(id, signal, (agent) => listProcesses(agent, signal))
  }

  memory(id: string, signal: AbortSignal): Promise<MachineMemory> {
    return this.#withSession(id, signal, (session) => readMemory(session, signal))
  }

  stats(id: string, signal: AbortSignal): Promise<readonly Figure[]> {
    const { kind } = this.#options.runtime
    return this.#withSession(id, signal, (session) => readStats(session, kind, signal))
  }

  limitMemory(id: string, limitMb: number, signal: AbortSignal): Promise<MachineMemory> {
    return this.#withSession(id, signal, (session) => limitMemory(session, limitMb, signal))
  }

  reclaimMemory(id: string, amountMb: number, signal: AbortSignal): Promise<number> {
    return this.#withSession(id, signal, (session) => reclaimMemory(session, amountMb, signal))
  }

  /** @throws FlydError flyd.state_bad: it has ended */
  async agentOf(id: string, signal: AbortSignal): Promise<Agent> {
    const session = await this.#presentSession(parseMachineId(id), signal)
    if (session !== undefined) return await session.agent(signal)
    throw refuse('flyd.state_bad', 'failed_precondition: machine not running')
  }

  #withAgent<T>(
    id: string,
    signal: AbortSignal,
    work: (agent: Awaited<ReturnType<GuestSession['agent']>>) => Promise<T>,
  ): Promise<T> {
    return this.#withSession(id, signal, async (session) => work(await session.agent(signal)))
  }

  async #withSession<T>(
    id: string,
    signal: AbortSignal,
    work: (session: GuestSession) => Promise<T>,
  ): Promise<T> {
    const session = await this.#presentSession(parseMachineId(id), signal)
    if (session === undefined) throw new Error('the machine has ended')
    return await work(session)
  }

  async #stateOf(id: MachineId): Promise<GuestState | undefined> {
    const guests = await this.#options.runtime.list()
    return guests.find((one) => one.id === id)?.state
  }

  /** The session with a guest that runs, taken over from another process if need be. */
  async #presentSession(id: MachineId, signal: AbortSignal): Promise<GuestSession | undefined> {
    const known = this.#sessions.get(id)
    if (known !== undefined) return known
    const guest = await this.#options.runtime.adopt(id, { signal })
    return guest === undefined ? undefined : (this.#sessions.get(id) ?? this.#watch(id, guest))
  }

  #watch(id: MachineId, guest: Guest): GuestSession {
    const { exits, logs, clock, random, log, askApi } = this.#options
    const around = { exits, logs, clock, random, log, askApi }
    const session: GuestSession = new GuestSession({
      ...around,
      id,
      guest,
      onEnd: (exit) => {
        if (this.#sessions.get(id) === session) this.#sessions.delete(id)
        for (const listener of this.#listeners) listener(id, exit)
      },
    })
    this.#sessions.set(id, session)
    return session
  }
}

/** Undefined: not in time. @throws the signal's reason */
async function within<T>(
  work: Promise<T>,
  ms: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<T | undefined> {
  const waiting = new AbortController()
  const late = clock.sleep(ms, AbortSignal.any([signal, waiting.signal])).then(
    () => undefined,
    (error: unknown) => {
      if (signal.aborted) throw error
      return undefined
    },
  )
  try {
    return await firstOf(work, late)
  } finally {
    waiting.abort()
  }
}
