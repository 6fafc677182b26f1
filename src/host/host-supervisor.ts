import { join } from 'node:path'
import { type Log, pollUntil } from '#base'
import {
  endOrphan,
  type LifecycleState,
  type Policy,
  readPidFile,
  SupervisedProcess,
  signalPid,
  stopAll,
} from '#supervise'
import { HostError } from './errors.ts'
import { type LeftPart, leaveParts } from './left-parts.ts'
import type { Part } from './part.ts'
import { inStartOrder } from './part-order.ts'
import { probePart } from './probe-part.ts'

export interface HostSupervisorOptions {
  readonly parts: readonly Part[]
  /** Where pid files are, so that parts which a killed supervisor left are ended before the next start. */
  readonly runDir: string
  /** Where each part prints to `<part>.log`. Absent: to this process' log. */
  readonly logDir?: string
  readonly log: Log
  readonly policy?: Partial<Policy>
}

export interface PartStatus {
  readonly name: string
  /** held: it waits for another part to have been ready. */
  readonly state: LifecycleState | 'held'
  readonly pid: number | null
  /** Starts after the first. */
  readonly restarts: number
}

interface Running {
  part: Part
  process: SupervisedProcess
  /** Resolved when it is no longer held. */
  readonly begun: PromiseWithResolvers<void>
  isHeld: boolean
  /** While another process takes over. */
  replacing: Promise<void> | undefined
  /** Starts of the processes before this one. */
  startsBefore: number
}

const STOP_MS = 60_000
const SETTLED: ReadonlySet<string> = new Set(['ready', 'ended', 'failed'])

/**
 * Keeps a host's parts running. One that ends, or fails its probe, is started anew with backoff and by
 * itself: no part is stopped because another ended. Machines are nobody's children here; they run on
 * whatever ends.
 */
export class HostSupervisor {
  readonly #running: readonly Running[]
  readonly #log: Log
  readonly #runDir: string
  /** Have handed over, and drain. */
  readonly #leaving = new Set<SupervisedProcess>()
  readonly #ended = new AbortController()

  /** @throws HostError host.order_bad */
  constructor({ parts, runDir, logDir, log, policy = {} }: HostSupervisorOptions) {
    this.#log = log
    this.#runDir = runDir
    this.#running = inStartOrder(parts).map((part) => ({
      part,
      isHeld: true,
      replacing: undefined,
      startsBefore: 0,
      begun: Promise.withResolvers<void>(),
      process: new SupervisedProcess({
        name: part.name,
        command: part.command,
        args: part.args,
        env: envOf(part),
        log,
        pidFile: this.#pidFileOf(part.name),
        ...(logDir === undefined ? {} : { outputFile: join(logDir, `${part.name}.log`) }),
        policy: {
          ...policy,
          ...(part.stopGraceMs === undefined ? {} : { stopGraceMs: part.stopGraceMs }),
        },
        ...probeOf(part),
      }),
    }))
  }

  #pidFileOf(name: string): string {
    return join(this.#runDir, `${name}.pid`)
  }

  /**
   * Starts all parts, each when those before it have been ready once. Does not wait for the last. Those that were
   * `left` run already and go on; of them, one that this host has no more is ended.
   */
  start(left: readonly LeftPart[] = []): void {
    for (const running of this.#running) {
      const before = left.find(({ name }) => name === running.part.name)
      void this.#startOne(running, before)
    }
    for (const { name } of left) {
      if (!this.#running.some(({ part }) => part.name === name)) void this.#endOne(name)
    }
  }

  async #endOne(name: string): Promise<void> {
    try {
      await endOrphan(this.#pidFileOf(name), this.#ended.signal)
    } catch (err) {
      if (!this.#ended.signal.aborted) this.#log.error({ err, part: name }, 'a part was not ended')
    }
  }

  /**
   * Leaves the parts to the program that this process is given to next: `takeLeftParts`. Waits until nothing is being
   * started or ended and none drains. @throws HostError host.upgrade_failed
   */
  async leave(deadlineMs: number): Promise<void> {
    let busy = ''
    const isSettled = () => {
      const moving = this.status().filter(({ state }) => !SETTLED.has(state))
      busy = [...this.#leaving, ...moving].map(({ name }) => name).join(', ')
      return busy === '' && this.#running.every(({ replacing }) => replacing === undefined)
    }
    await pollUntil('parts to be settled', isSettled, { deadlineMs }).catch((cause) => {
      throw new HostError('host.upgrade_failed', {
        what: 'the supervisor goes on as it is: a part is being started or ended',
        values: { parts: busy },
        fix: 'look at godwit host status, and try again',
        cause,
      })
    })
    const left = this.status().map(({ name, state, restarts }) => ({
      ...{ name, restarts, isStopped: state !== 'ready' },
    }))
    leaveParts(this.#runDir, left)
    this.#log.info('the supervisor is replaced, and its parts run on')
  }

  async #startOne(running: Running, left?: LeftPart): Promise<void> {
    const { part, process } = running
    const { signal } = this.#ended
    try {
      if (left !== undefined) return await this.#goOn(running, left)
      for (const name of part.after ?? []) await this.#readyOnce(this.#find(name), signal)
      signal.throwIfAborted()
      await process.start(signal)
      running.isHeld = false
      running.begun.resolve()
    } catch (err) {
      if (!signal.aborted) this.#log.error({ err, part: part.name }, 'a part was not started')
    }
  }

  async #goOn(running: Running, { restarts, isStopped }: LeftPart): Promise<void> {
    const { part, process, begun } = running
    const identity = readPidFile(this.#pidFileOf(part.name))
    running.startsBefore = restarts
    running.isHeld = false
    if (!isStopped && identity !== undefined) process.adopt(identity)
    else if (!isStopped) await process.start(this.#ended.signal) // it ended a moment ago
    begun.resolve()
  }

  /** Resolves when every part is ready. @throws the signal's reason; SuperviseError */
  async ready(signal: AbortSignal): Promise<void> {
    for (const running of this.#running) await this.#readyOnce(running, signal)
  }

  /** One that is held has not been started: its process would say that it was stopped. */
  async #readyOnce({ begun, process }: Running, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => reject(signal.reason)
      signal.addEventListener('abort', onAbort, { once: true })
      void begun.promise.then(() => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      })
    })
    await process.ready(signal)
  }

  status(): PartStatus[] {
    return this.#running.map(({ part, process, isHeld, startsBefore }) => ({
      name: part.name,
      state: isHeld ? 'held' : process.state,
      pid: process.pid ?? null,
      restarts: startsBefore + process.restarts,
    }))
  }

  /**
   * Stops one part and starts it again: how a part gets a new version. One that takes over is started beside the one
   * that runs; this then resolves while the old process still drains. @throws HostError host.part_unknown
   */
  async restart(name: string, signal: AbortSignal): Promise<void> {
    const running = this.#find(name)
    if (running.part.takesOver === true && running.process.state === 'ready') {
      running.replacing ??= this.#replace(running, signal).finally(() => {
        running.replacing = undefined
      })
      await running.replacing
      return
    }
    await this.stopPart(name, signal)
    await this.startPart(name, signal)
  }

  /**
   * Starts one part anew as it is defined now; one that takes over does so, and nobody is refused meanwhile. One that
   * was stopped stays so, and is started so.
   *
   * @throws HostError host.part_unknown
   */
  async upgrade(part: Part, signal: AbortSignal): Promise<'restarted' | 'handed_over'> {
    const running = this.#find(part.name)
    const { process } = running
    const takesOver = part.takesOver === true && process.state === 'ready'
    running.part = part
    const { command, args } = part
    process.redefine({ command, args, env: envOf(part), ...probeOf(part) })
    this.#log.info({ part: part.name }, 'is upgraded')
    if (process.state !== 'ended') await this.restart(part.name, signal)
    return takesOver ? 'handed_over' : 'restarted'
  }

  async #replace(running: Running, signal: AbortSignal): Promise<void> {
    const { process: old, part } = running
    this.#log.info({ part: part.name, pid: old.pid }, 'is replaced')
    const successor = old.retireFor()
    try {
      await successor.start(signal)
      await successor.ready(signal)
    } catch (error) {
      await successor.stop()
      await old.start() // it is wanted again, and may be running still
      throw error
    }
    running.process = successor
    running.startsBefore += old.restarts + 1
    this.#leaving.add(old)
    void old.stop().finally(() => this.#leaving.delete(old))
  }

  /** Stops one part, until it is started again. @throws HostError host.part_unknown */
  async stopPart(name: string, signal: AbortSignal): Promise<void> {
    const running = this.#find(name)
    await running.replacing?.catch(() => undefined) // whoever asked for it is told
    this.#log.info({ part: name }, 'is stopped')
    await running.process.stop(signal)
  }

  /** Starts a part that was stopped; resolves when it is ready. @throws HostError host.part_unknown */
  async startPart(name: string, signal: AbortSignal): Promise<void> {
    const { process } = this.#find(name)
    this.#log.info({ part: name }, 'is started')
    await process.start(signal)
    await process.ready(signal)
  }

  /**
   * Has a part read its configuration anew, once it is ready. One that is stopped reads it when it starts.
   *
   * @throws HostError host.part_unknown; SuperviseError; the signal's reason
   */
  async reload(name: string, signal: AbortSignal): Promise<void> {
    const running = this.#find(name)
    const { reloadSignal } = running.part
    if (reloadSignal === undefined) return
    await this.#readyOnce(running, signal)
    const { pid } = running.process
    if (pid !== undefined) signalPid(pid, reloadSignal)
    this.#log.info({ part: name }, 'reads its configuration anew')
  }

  /** Stops all parts, the last first. */
  async stop(): Promise<void> {
    this.#ended.abort(new Error('the host is stopped'))
    const started = this.#running.filter(({ isHeld }) => !isHeld)
    await Promise.all(started.map(({ replacing }) => replacing?.catch(() => undefined)))
    await stopAll([...started.map(({ process }) => process), ...this.#leaving], STOP_MS)
  }

  #find(name: string): Running {
    const found = this.#running.find(({ part }) => part.name === name)
    if (found !== undefined) return found
    throw new HostError('host.part_unknown', {
      what: 'this host has no such part',
      values: { part: name },
      fix: `there are: ${this.#running.map(({ part }) => part.name).join(', ')}`,
    })
  }
}

const envOf = ({ env }: Part): NodeJS.ProcessEnv => ({ ...process.env, ...env })

function probeOf({ probe }: Part) {
  return probe === undefined
    ? {}
    : { probe: (signal: AbortSignal, pid: number) => probePart(probe, signal, pid) }
}
