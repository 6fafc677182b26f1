import { type ChildProcess, spawn } from 'node:child_process'
import {
  type Clock,
  type Log,
  pollUntil,
  type Random,
  startDeadline,
  systemClock,
  systemRandom,
} from '#base'
import { SuperviseError } from './errors.ts'
import {
  DEFAULT_POLICY,
  Lifecycle,
  type LifecycleAction,
  type LifecycleEvent,
  type LifecycleState,
  type Policy,
} from './lifecycle.ts'
import { LineReader } from './line-reader.ts'
import { OutputFile } from './output-file.ts'
import { endOrphan, removePidFile, writePidFile } from './pid-file.ts'
import { groupMembers } from './process-group.ts'
import {
  identify,
  isAlive,
  type ProcessIdentity,
  signalPid,
  signalProcess,
} from './process-identity.ts'

const PROBE_DEADLINE_MS = 2_000
const SUCCESSOR_LOOK_MS = 20
/** A process that its predecessor started is no child of ours: its end is looked for. */
const ADOPTED_LOOK_MS = 200

export interface SuperviseOptions {
  /** Names the process in logs and errors. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly log: Log
  /**
   * Resolves when the process serves; rejects when it does not. Absent: it is ready once it runs.
   * Gets a signal that aborts after 2 s, or when the process ended.
   */
  readonly probe?: (signal: AbortSignal) => Promise<void>
  readonly policy?: Partial<Policy>
  /** @default SIGTERM */
  readonly stopSignal?: NodeJS.Signals
  /** Remembers the child, so that one left by a killed supervisor is ended before the next start. */
  readonly pidFile?: string
  /** Where what it prints goes, bounded; it can print on when the supervisor is gone. Absent: to the log. */
  readonly outputFile?: string
  readonly clock?: Clock
  readonly random?: Random
}

/**
 * A process that is kept running: started anew with backoff when it ends or fails its probe. It leads
 * a process group of its own, and signals go to the whole group. What it prints goes to the log.
 */
export class SupervisedProcess {
  readonly name: string
  #options: SuperviseOptions
  readonly #clock: Clock
  readonly #lifecycle: Lifecycle
  readonly #watchers = new Set<() => void>()
  readonly #output: OutputFile | undefined
  #child: ChildProcess | undefined
  /** Of what runs: the child, or what it handed over to. */
  #identity: ProcessIdentity | undefined
  /** That the child was started in, and all that it started. */
  #group: number | undefined
  /** While it hands over: the processes of its group from before. */
  #before: ReadonlySet<number> | undefined
  /** The look after a process that is no child. */
  #adopted: Disposable | undefined
  #timer: Disposable | undefined
  #probing: AbortController | undefined
  #restarts = 0

  constructor(options: SuperviseOptions) {
    this.name = options.name
    this.#options = options
    this.#clock = options.clock ?? systemClock
    const { outputFile } = options
    this.#output = outputFile === undefined ? undefined : new OutputFile(outputFile)
    const policy = { ...DEFAULT_POLICY, ...options.policy }
    this.#lifecycle = new Lifecycle(policy, options.random ?? systemRandom)
  }

  get state(): LifecycleState {
    return this.#lifecycle.state
  }

  /** Undefined while no child lives. */
  get pid(): number | undefined {
    const hasChild = ['starting', 'ready', 'ending'].includes(this.state)
    return hasChild ? (this.#identity?.pid ?? this.#child?.pid) : undefined
  }

  /** Times that it was started after the first time. */
  get restarts(): number {
    return this.#restarts
  }

  /** Starts it, and keeps it running until `stop`. Ends what a killed supervisor left of it first. */
  async start(signal?: AbortSignal): Promise<void> {
    const { pidFile, log } = this.#options
    if (pidFile !== undefined && this.#child === undefined && (await endOrphan(pidFile, signal))) {
      log.warn({ process: this.name }, 'ended the process that an earlier supervisor left')
    }
    this.#send({ type: 'startRequested' })
  }

  /**
   * Resolves once it is ready. @throws SuperviseError supervise.gave_up, supervise.stopped, or the
   * signal's reason.
   */
  ready(signal?: AbortSignal): Promise<void> {
    return this.#until((state) => {
      if (state === 'failed') throw this.#gaveUp()
      if (state === 'ended') {
        throw new SuperviseError('supervise.stopped', {
          what: 'the process was stopped before it was ready',
          values: { process: this.name },
        })
      }
      return state === 'ready'
    }, signal)
  }

  /** Stops it: the stop signal, then SIGKILL after the grace time. Resolves when it is gone. */
  stop(signal?: AbortSignal): Promise<void> {
    this.#send({ type: 'stopRequested' })
    return this.#until((state) => state === 'ended' || state === 'failed', signal)
  }

  /** How it is started from the next time on. */
  redefine(options: Pick<SuperviseOptions, 'command' | 'args' | 'env' | 'probe'>): void {
    this.#options = { ...this.#options, ...options }
  }

  /**
   * Tells it to start its successor, which takes over what it serves, and resolves when the old one has ended.
   * For programs that do so on a signal; the successor is looked after like any child.
   *
   * @throws SuperviseError supervise.no_successor: the old one goes on; BaseError base.deadline_exceeded: it did nothing,
   * or has not ended; the signal's reason
   */
  async handOver(
    trigger: NodeJS.Signals,
    waiting: { readonly deadlineMs: number; readonly signal?: AbortSignal },
  ): Promise<void> {
    const [old, group] = [this.#identity, this.#group]
    if (this.state !== 'ready' || old === undefined || group === undefined) {
      throw this.#noSuccessor('it does not run')
    }
    this.#before = new Set(groupMembers(group).map(({ pid }) => pid))
    let successor: ProcessIdentity | undefined
    const look = () => {
      if (this.#identity !== old) return true
      successor ??= this.#successor()
      if (successor === undefined || isAlive(successor)) return false
      throw this.#noSuccessor('it ended at once')
    }
    signalProcess(old, trigger)
    try {
      const options = { ...waiting, intervalMs: SUCCESSOR_LOOK_MS, clock: this.#clock }
      await pollUntil(`the successor of ${this.name}`, look, options)
    } finally {
      this.#before = undefined
    }
    if (this.#adopted === undefined) throw this.#noSuccessor('both have ended')
  }

  /** What it has started since it was told to hand over. */
  #successor(): ProcessIdentity | undefined {
    const before = this.#before
    if (before === undefined || this.#group === undefined) return undefined
    return groupMembers(this.#group).find(({ pid }) => !before.has(pid))
  }

  #noSuccessor(why: string): SuperviseError {
    return new SuperviseError('supervise.no_successor', {
      what: 'the process has no successor that serves',
      values: { process: this.name, why },
      fix: 'its log says why',
    })
  }

  #gaveUp(): SuperviseError {
    return new SuperviseError('supervise.gave_up', {
      what: 'the process kept ending and was given up',
      values: { process: this.name, restarts: this.#restarts },
      fix: 'its log says why',
    })
  }

  #until(isReached: (state: LifecycleState) => boolean, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (error?: unknown) => {
        this.#watchers.delete(look)
        signal?.removeEventListener('abort', onAbort)
        if (error === undefined) resolve()
        else reject(error)
      }
      const onAbort = () => finish(signal?.reason)
      const look = () => {
        try {
          if (isReached(this.state)) finish()
        } catch (error) {
          finish(error)
        }
      }
      if (signal?.aborted) return onAbort()
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#watchers.add(look)
      look()
    })
  }

  #send(event: LifecycleEvent): void {
    const actions = this.#lifecycle.step(event, this.#clock.monotonicMs())
    this.#timer?.[Symbol.dispose]()
    this.#timer = undefined
    for (const action of actions) this.#perform(action)
    const waitMs = this.#lifecycle.wakeAtMs - this.#clock.monotonicMs()
    if (waitMs === Infinity || this.#timer !== undefined) return
    this.#timer = this.#clock.setTimer(
      () => this.#send({ type: 'clockTicked' }),
      Math.max(0, waitMs),
    )
  }

  #perform(action: LifecycleAction): void {
    switch (action.type) {
      case 'spawn':
        this.#spawn()
        break
      case 'probe':
        void this.#probe()
        break
      case 'signal':
        this.#signal(action.kind === 'kill' ? 'SIGKILL' : this.#stopSignal)
        break
      case 'enter':
        this.#options.log.debug({ process: this.name, state: action.state }, 'entered a state')
        if (action.state !== 'ready') this.#probing?.abort(new Error(`it is ${action.state}`))
        for (const watcher of [...this.#watchers]) watcher()
    }
  }

  get #stopSignal(): NodeJS.Signals {
    return this.#options.stopSignal ?? 'SIGTERM'
  }

  #spawn(): void {
    const { command, args, cwd, env, log, pidFile } = this.#options
    if (this.#child !== undefined) this.#restarts += 1
    const start = (output: 'pipe' | number) =>
      spawn(command, [...args], {
        detached: true,
        stdio: ['ignore', output, output],
        ...(cwd === undefined ? {} : { cwd }),
        ...(env === undefined ? {} : { env }),
      })
    const child = this.#output === undefined ? start('pipe') : this.#output.with(start)
    this.#child = child
    this.#group = child.pid
    const identity = child.pid === undefined ? undefined : identify(child.pid)
    this.#identity = identity
    if (pidFile !== undefined && identity !== undefined) writePidFile(pidFile, identity)
    for (const [stream, name] of [
      [child.stdout, 'stdout'],
      [child.stderr, 'stderr'],
    ] as const) {
      const reader = new LineReader((line) => log.info({ process: this.name, stream: name }, line))
      stream?.on('data', (bytes: Buffer) => reader.push(bytes)).on('end', () => reader.end())
    }
    child.once('error', (err) => log.error({ process: this.name, err }, 'could not be started'))
    const onEnd = (code: number | null, killedBy: NodeJS.Signals | null) =>
      this.#ended(code, killedBy)
    // A command that does not exist never exits: it only fails to start.
    if (child.pid === undefined) child.once('error', () => onEnd(null, null))
    else child.once('exit', onEnd)
  }

  #ended(code: number | null, killedBy: NodeJS.Signals | null): void {
    const { log, pidFile } = this.#options
    const successor = this.#successor()
    this.#adopted?.[Symbol.dispose]()
    this.#adopted = undefined
    log.info({ process: this.name, code, killedBy }, 'ended')
    if (successor !== undefined) {
      this.#adopt(successor)
      return
    }
    if (this.#group !== undefined) signalPid(-this.#group, 'SIGKILL') // what it started goes with it
    if (pidFile !== undefined) removePidFile(pidFile)
    this.#identity = undefined
    this.#send({ type: 'exited', code })
  }

  #adopt({ pid, startTicks }: ProcessIdentity): void {
    const { log, pidFile } = this.#options
    const identity = { pid, startTicks }
    this.#identity = identity
    const group = this.#group === undefined ? {} : { group: this.#group }
    if (pidFile !== undefined) writePidFile(pidFile, { ...identity, ...group })
    log.info({ process: this.name, pid }, 'has a successor')
    const look = () => {
      if (isAlive(identity)) this.#adopted = this.#clock.setTimer(look, ADOPTED_LOOK_MS)
      else this.#ended(null, null)
    }
    look()
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#group !== undefined) signalPid(-this.#group, signal)
  }

  async #probe(): Promise<void> {
    const child = this.#child
    const { probe, log } = this.#options
    this.#output?.trim()
    let isHealthy = true
    if (probe !== undefined) {
      const probing = new AbortController()
      this.#probing = probing
      const options = { signal: probing.signal, clock: this.#clock }
      using deadline = startDeadline(`the probe of ${this.name}`, PROBE_DEADLINE_MS, options)
      try {
        await probe(deadline.signal)
      } catch (err) {
        isHealthy = false
        log.debug({ process: this.name, err }, 'is not healthy')
      }
    }
    if (child === this.#child) this.#send({ type: 'probed', isHealthy })
  }
}

/** Stops many, the last started first, all within one deadline. */
export async function stopAll(
  processes: readonly SupervisedProcess[],
  deadlineMs: number,
): Promise<void> {
  using deadline = startDeadline('stopping all processes', deadlineMs)
  for (const process of processes.toReversed()) await process.stop(deadline.signal)
}
