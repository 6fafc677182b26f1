import { spawn } from 'node:child_process'
import { type Clock, type Log, type Random, startDeadline, systemClock, systemRandom } from '#base'
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
import { endOrphan, readPidFile, removePidFile, writePidFile } from './pid-file.ts'
import { identify, isAlive, type ProcessIdentity, signalPid } from './process-identity.ts'
import { reap } from './reap.ts'

const PROBE_DEADLINE_MS = 2_000
/** How soon the end of an adopted process is seen. */
const ADOPTED_LOOK_MS = 250

export interface SuperviseOptions {
  /** Names the process in logs and errors. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly log: Log
  /**
   * Resolves when the process `pid` serves; rejects when it does not. Absent: it is ready once it runs.
   * Gets a signal that aborts after 2 s, or when the process ended.
   */
  readonly probe?: (signal: AbortSignal, pid: number) => Promise<void>
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
  #child: { readonly pid?: number | undefined } | undefined
  #timer: Disposable | undefined
  #probing: AbortController | undefined
  #restarts = 0
  #isSuccessor = false

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
    return hasChild ? this.#child?.pid : undefined
  }

  /** Times that it was started after the first time. */
  get restarts(): number {
    return this.#restarts
  }

  /** How it is started from the next time on. */
  redefine(options: Pick<SuperviseOptions, 'command' | 'args' | 'env' | 'probe'>): void {
    this.#options = { ...this.#options, ...options }
  }

  /** Starts it, and keeps it running until `stop`. Ends what a killed supervisor left of it first. */
  async start(signal?: AbortSignal): Promise<void> {
    const { pidFile, log } = this.#options
    const mayBeLeft = pidFile !== undefined && this.#child === undefined && !this.#isSuccessor
    if (mayBeLeft && (await endOrphan(pidFile, signal))) {
      log.warn({ process: this.name }, 'ended the process that an earlier supervisor left')
    }
    this.#send({ type: 'startRequested' })
  }

  /**
   * Keeps a process running that this one's program started before it replaced itself (execve): children stay children.
   * How it ends is not known then, so that its end counts as a failure.
   */
  adopt(identity: ProcessIdentity): void {
    this.#child = identity
    this.#send({ type: 'adopted' })
    this.#watchAdopted(identity)
  }

  #watchAdopted(identity: ProcessIdentity): void {
    this.#clock.setTimer(() => {
      if (isAlive(identity)) return this.#watchAdopted(identity)
      reap(identity.pid)
      this.#ended(identity.pid, null, null)
    }, ADOPTED_LOOK_MS)
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

  /**
   * Another process of the same program, not started yet, which will take over from this one: this one is left alone,
   * and is not started again when it ends.
   */
  retireFor(): SupervisedProcess {
    this.#send({ type: 'retireRequested' })
    const successor = new SupervisedProcess(this.#options)
    successor.#isSuccessor = true
    return successor
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
    const identity = child.pid === undefined ? undefined : identify(child.pid)
    if (pidFile !== undefined && identity !== undefined) writePidFile(pidFile, identity)
    for (const [stream, name] of [
      [child.stdout, 'stdout'],
      [child.stderr, 'stderr'],
    ] as const) {
      const reader = new LineReader((line) => log.info({ process: this.name, stream: name }, line))
      stream?.on('data', (bytes: Buffer) => reader.push(bytes)).on('end', () => reader.end())
    }
    child.once('error', (err) => log.error({ process: this.name, err }, 'could not be started'))
    // A command that does not exist never exits: it only fails to start.
    const { pid } = child
    if (pid === undefined) child.once('error', () => this.#ended(undefined, null, null))
    else child.once('exit', (code, killedBy) => this.#ended(pid, code, killedBy))
  }

  #ended(pid: number | undefined, code: number | null, killedBy: NodeJS.Signals | null): void {
    const { log, pidFile } = this.#options
    if (pid !== undefined) signalPid(-pid, 'SIGKILL') // what it started goes with it
    // By now it may name who took over.
    if (pidFile !== undefined && readPidFile(pidFile)?.pid === pid) removePidFile(pidFile)
    log.info({ process: this.name, code, killedBy }, 'ended')
    this.#send({ type: 'exited', code })
  }

  #signal(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid
    if (pid !== undefined) signalPid(-pid, signal)
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
        await probe(deadline.signal, child?.pid ?? 0)
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
