import type { Readable } from 'node:stream'
import {
  type Backoff,
  backoffMs,
  type Clock,
  errorCode,
  type Log,
  pollUntil,
  type Random,
  unlessAborted,
} from '#base'
import {
  type Agent,
  connectAgent,
  type EntrypointState,
  exitCodeOf,
  type Guest,
  type GuestEnd,
} from '#guest'
import { LineSplitter } from '../logs/line-splitter.ts'
import type { LogSink, LogStream } from '../logs/machine-logs.ts'
import { type AskApi, serveApiSocket } from '../machine-api/serve-api-socket.ts'
import type { GuestExit } from '../model/guest-exit.ts'
import type { ExitRecords } from './exit-records.ts'

export interface GuestSessionOptions {
  readonly id: string
  readonly guest: Guest
  readonly exits: ExitRecords
  readonly logs: LogSink
  /** The guest is gone, and nobody suspended it. */
  readonly onEnd: (exit: GuestExit) => void
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly askApi?: AskApi | undefined
}

const CONNECT_MS_MAX = 20_000
const BACKOFF: Backoff = { baseMs: 50, capMs: 2_000 }
const DAY_MS = 86_400_000
/** For the last of the output, once the entrypoint has ended. */
const OUTPUT_MS_MAX = 5_000
/** For what else runs in the machine when its entrypoint has ended. */
const SHUTDOWN_MS_MAX = 5_000
const KILL_AFTER_MS = 15_000
const SIGKILL = 9

/**
 * A guest that this process looks after: its agent, connected again whenever the channel breaks; its
 * output to the log; and its end, which follows that of its entrypoint. Disposing lets go of it.
 */
export class GuestSession implements Disposable {
  readonly guest: Guest
  /** How it ended; undefined: it was suspended, or let go. */
  readonly ended: Promise<GuestExit | undefined>
  readonly #options: GuestSessionOptions
  readonly #stopping = new AbortController()
  #agent: Agent | undefined
  #connecting: Promise<Agent> | undefined
  #servedBy: Agent | undefined

  constructor(options: GuestSessionOptions) {
    this.#options = options
    this.guest = options.guest
    this.ended = this.#untilEnd()
    void this.#keep()
  }

  [Symbol.dispose](): void {
    this.#stopping.abort(new Error('flyd lets go of the machine'))
    this.#agent?.close()
    this.guest[Symbol.dispose]()
  }

  /** The agent as it is connected now, or will be. @throws AgentError, GuestError, the signal's reason */
  async agent(signal: AbortSignal): Promise<Agent> {
    for (;;) {
      signal.throwIfAborted()
      if (this.#agent !== undefined) return this.#agent
      this.#connecting ??= this.#connect()
      return await unlessAborted(this.#connecting, signal)
    }
  }

  /** The API's socket in the machine, once its disks are there. Twice for one session is once. */
  serveApi(agent: Agent): void {
    const { askApi: ask, log, id } = this.#options
    if (ask === undefined || this.#servedBy === agent) return
    this.#servedBy = agent
    const { signal } = this.#stopping
    void serveApiSocket({ machine: id, agent, signal }, { ask, log })
  }

  async #connect(): Promise<Agent> {
    try {
      const signal = this.#stopping.signal
      const call = { signal, deadlineMs: CONNECT_MS_MAX }
      const agent = await connectAgent(await this.guest.openChannel(call), call)
      this.#agent = agent
      return agent
    } finally {
      this.#connecting = undefined
    }
  }

  /** Never rejects. */
  async #keep(): Promise<void> {
    const { clock, random, log, id } = this.#options
    const { signal } = this.#stopping
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        const agent = await this.agent(signal)
        failures = 0
        await this.#follow(agent)
        return
      } catch (err) {
        if (signal.aborted) return
        this.#agent = undefined
        log.debug({ err, machine: id }, 'the channel to a machine broke; it is made again')
        await clock.sleep(backoffMs(failures, BACKOFF, random), signal).catch(() => undefined)
      }
    }
  }

  /** Until the guest is gone. @throws when the channel breaks */
  async #follow(agent: Agent): Promise<void> {
    const outputs = [this.#copy(agent.stdout, 'stdout'), this.#copy(agent.stderr, 'stderr')]
    void Promise.allSettled(outputs)
    const { signal } = this.#stopping
    const over = ({ phase }: EntrypointState) => phase === 'exited' || phase === 'failed'
    let state = agent.entrypoint
    const { phase } = state
    if (phase === 'starting' || phase === 'running') this.serveApi(agent) // it was started before
    while (!over(state)) {
      state = await agent
        .waitForEntrypoint(over, { signal, deadlineMs: DAY_MS })
        .catch((error: unknown) => {
          if (errorCode(error) === 'base.deadline_exceeded') return agent.entrypoint
          throw error
        })
    }
    const isOutOfMemory = await this.#isOutOfMemory(state)
    this.#options.exits.keep(this.#options.id, exitOfState(state, isOutOfMemory, this.#nowMs()))
    await pollUntil('the last output', () => agent.isOutputRead, {
      deadlineMs: OUTPUT_MS_MAX,
      signal,
    }).catch((error: unknown) => {
      if (errorCode(error) !== 'base.deadline_exceeded') throw error
    })
    await this.#shutDown(agent)
  }

  /** A container's kernel is the host's: it tells the host. */
  async #isOutOfMemory(state: EntrypointState): Promise<boolean> {
    if ('isOutOfMemory' in state && state.isOutOfMemory) return true
    const isKilled =
      'ending' in state && state.ending.kind === 'signaled' && state.ending.signal === SIGKILL
    if (!isKilled) return false
    const usage = await this.guest.usage().catch(() => undefined) // it is gone: nobody knows
    return (usage?.outOfMemoryKills ?? 0) > 0
  }

  async #shutDown(agent: Agent): Promise<void> {
    const { log, id } = this.#options
    try {
      await agent.shutdown({ timeoutMs: SHUTDOWN_MS_MAX, deadlineMs: KILL_AFTER_MS })
      await pollUntil('the end of the guest', () => this.#stopping.signal.aborted, {
        deadlineMs: KILL_AFTER_MS,
      })
    } catch (err) {
      if (this.#stopping.signal.aborted) return
      log.debug({ err, machine: id }, 'a machine does not shut down: it is ended')
      await this.guest.kill()
    }
  }

  async #copy(output: Readable, stream: LogStream): Promise<void> {
    const { logs, id, log } = this.#options
    const splitter = new LineSplitter()
    try {
      for await (const bytes of output as AsyncIterable<Buffer>) {
        await logs.write(id, stream, splitter.push(bytes))
      }
    } catch (err) {
      if (!errorCode(err)?.startsWith('guest.')) {
        log.warn({ err, machine: id }, 'output of a machine is lost')
        output.resume() // the machine must not wait for a log that nobody can write
      }
    }
    await logs.write(id, stream, splitter.end()).catch((err: unknown) => {
      log.warn({ err, machine: id }, 'output of a machine is lost')
    })
  }

  async #untilEnd(): Promise<GuestExit | undefined> {
    const { exits, id, onEnd } = this.#options
    const end = await this.guest.ended
    const isLetGo = this.#stopping.signal.aborted
    this.#stopping.abort(new Error('the guest has ended'))
    this.#agent?.close()
    if (isLetGo || end.cause === 'suspended') return undefined
    const exit = exits.keep(id, exits.of(id) ?? exitOfGuest(end, this.#nowMs()))
    onEnd(exit)
    return exit
  }

  #nowMs(): number {
    return this.#options.clock.nowMs()
  }
}

function exitOfState(
  state: EntrypointState,
  isOutOfMemory: boolean,
  exitedAtMs: number,
): GuestExit {
  const ending = 'ending' in state ? state.ending : ({ kind: 'exited', code: 0 } as const)
  return {
    exitCode: exitCodeOf(ending),
    signal: ending.kind === 'signaled' ? ending.signal : -1,
    guestExitCode: 0,
    guestSignal: -1,
    isOutOfMemory,
    exitedAtMs,
    ...(state.phase === 'failed' ? { error: 'the command could not be started' } : {}),
  }
}

/** Of a guest whose init said nothing of its entrypoint. */
function exitOfGuest({ cause, detail, isOutOfMemory }: GuestEnd, exitedAtMs: number): GuestExit {
  const isOrderly = cause === 'shutdown'
  return {
    exitCode: isOrderly ? 0 : 128 + SIGKILL,
    signal: isOrderly ? -1 : SIGKILL,
    guestExitCode: isOrderly ? 0 : 128 + SIGKILL,
    guestSignal: isOrderly ? -1 : SIGKILL,
    isOutOfMemory,
    exitedAtMs,
    ...(detail === undefined ? {} : { error: detail }),
  }
}
