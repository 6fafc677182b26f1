import type { Duplex, Readable } from 'node:stream'
import { errorCode, firstOf, GodwitError, type MachineId, pollUntil, startDeadline } from '#base'
import {
  type Agent,
  connectAgent,
  type EntrypointState,
  exitCodeOf,
  type Guest,
  type GuestEnd,
} from '#guest'
import { startMachine } from '#machine'
import { LocalError } from '../errors.ts'
import { finishMachine } from '../finish-machine.ts'
import type { LocalHost } from '../local-host.ts'
import type { LocalExit, LocalRecord } from '../machine-record.ts'
import { machineAddressOf } from '../network/nat-networks.ts'
import { KeeperServer } from './keeper-server.ts'
import { LogFile, type LogStream } from './log-file.ts'
import { type DialMachine, dialAddress, PublishedPorts } from './published-ports.ts'

const ATTACH_MS = 20_000
const OUTPUT_MS = 60_000
const SHUTDOWN_MS = 30_000
/** A timer cannot wait longer than 24 days. */
const WATCH_MS = 86_400_000
const RECONNECTS_MAX = 5
const UNKNOWN_CODE = 255
const KILLED_CODE = 137

/**
 * Keeps one machine for as long as it runs: boots or adopts it, writes its log, publishes its ports, serves
 * those who ask (keeper-server.ts), and takes it apart when its command has ended.
 */
export class Keeper {
  readonly #host: LocalHost
  readonly #id: MachineId

  constructor(host: LocalHost, id: MachineId) {
    this.#host = host
    this.#id = id
  }

  /** Resolves when the machine has ended and nothing of it is left that should not be. Never rejects. */
  async run(): Promise<void> {
    const record = this.#host.records.read(this.#id)
    if (record?.plan === undefined) return
    const folder = this.#host.records.folderOf(this.#id)
    await using server = await KeeperServer.open(folder)
    const outcome = await this.#keep(record, server).then(
      (exit) => ({ exit }),
      (error: unknown) => ({ exit: exitOf(error), error }),
    )
    try {
      await finishMachine(this.#host, record, outcome.exit)
    } catch (error) {
      console.error(error) // to its own log; the next call to the local mode tries again
    }
    server.tellEnd(outcome.exit, 'error' in outcome ? outcome.error : undefined)
  }

  async #keep(record: LocalRecord, server: KeeperServer): Promise<LocalExit> {
    const isAdopted = record.phase === 'running'
    if (record.isBound) await server.waitForAttached(ATTACH_MS)
    const runtime = await this.#host.runtime(record)
    const plan = record.plan
    if (plan === undefined) throw new TypeError('no plan')
    let agent: Agent | undefined
    const dial = dialOf(record, () => agent)
    await using _ports = await PublishedPorts.open(record.ports, dial)
    using guest = isAdopted ? await runtime.adopt(this.#id) : await runtime.boot(plan.spec)
    if (guest === undefined) throw gone(this.#id)
    const log = new LogFile(this.#host.records.folderOf(this.#id))
    try {
      for (let reconnects = 0; ; reconnects += 1) {
        agent = await connectAgent(await guest.openChannel())
        const exit = await this.#session(record, agent, guest, log, server)
        if (exit !== undefined) return exit
        if (reconnects === RECONNECTS_MAX) throw gone(this.#id)
      }
    } finally {
      log.close()
    }
  }

  /** @returns undefined: the channel broke, and the machine runs on. */
  async #session(
    record: LocalRecord,
    agent: Agent,
    guest: Guest,
    log: LogFile,
    server: KeeperServer,
  ): Promise<LocalExit | undefined> {
    const pumps = (['stdout', 'stderr'] as const).map((stream) =>
      pump(agent[stream], stream, log, server),
    )
    try {
      if (record.plan !== undefined) await startMachine({ agent, guest }, record.plan)
      await this.#markRunning()
      server.serve({ agent, guest, record })
      const over = await untilOver(agent, guest)
      if (over === undefined) return undefined
      if (!('phase' in over)) {
        await Promise.all(pumps)
        return exitOfEnd(over)
      }
      await pollUntil('the output to be written', () => agent.isOutputRead, {
        deadlineMs: OUTPUT_MS,
      })
      await server.drained()
      const exit = await exitOfState(over, guest)
      await shutDown(agent, guest)
      await Promise.all(pumps)
      return exit
    } finally {
      server.serve(undefined)
      agent.close()
    }
  }

  async #markRunning(): Promise<void> {
    await this.#host.change(() => {
      const record = this.#host.records.read(this.#id)
      if (record === undefined || record.phase === 'running') return
      this.#host.records.write({ ...record, phase: 'running', startedAtMs: Date.now() })
    })
  }
}

/** The machine's own address; without a network, from inside. */
function dialOf({ networkIndex }: LocalRecord, agent: () => Agent | undefined): DialMachine {
  if (networkIndex !== undefined) return dialAddress(machineAddressOf(networkIndex))
  return async (port): Promise<Duplex> => {
    const present = agent()
    if (present === undefined) throw new Error('the machine does not run yet')
    return await present.dial('127.0.0.1', port)
  }
}

async function pump(from: Readable, stream: LogStream, log: LogFile, server: KeeperServer) {
  try {
    for await (const bytes of from) {
      log.write(stream, bytes)
      await server.output(stream, bytes)
    }
  } catch (error) {
    if (errorCode(error) !== 'ERR_STREAM_PREMATURE_CLOSE') throw error // the session ended
  }
}

type Over = Extract<EntrypointState, { ending: unknown }> | GuestEnd

async function untilOver(agent: Agent, guest: Guest): Promise<Over | undefined> {
  const leave = new AbortController()
  const watch = async (): Promise<Over | undefined> => {
    for (;;) {
      try {
        const call = { deadlineMs: WATCH_MS, signal: leave.signal }
        const state = await agent.waitForEntrypoint(isOver, call)
        return isOver(state) ? state : undefined
      } catch (error) {
        if (leave.signal.aborted || errorCode(error) === 'guest.channel_lost') break
        if (errorCode(error) !== 'base.deadline_exceeded') throw error
      }
    }
    using deadline = startDeadline('the end of the machine', 2_000)
    return await firstOf(guest.ended, aborted(deadline.signal))
  }
  try {
    return await firstOf<Over | undefined>(
      watch(),
      guest.ended.then(async (end) => await lastState(agent, end)),
    )
  } finally {
    leave.abort()
  }
}

/** The command's own end may have been told just before the guest's. */
async function lastState(agent: Agent, end: GuestEnd): Promise<Over> {
  return isOver(agent.entrypoint) ? agent.entrypoint : end
}

const isOver = (state: EntrypointState): state is Extract<EntrypointState, { ending: unknown }> =>
  state.phase === 'exited' || state.phase === 'failed'

const aborted = (signal: AbortSignal) =>
  new Promise<undefined>((resolve) => {
    signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })

async function exitOfState(
  state: Extract<EntrypointState, { ending: unknown }>,
  guest: Guest,
): Promise<LocalExit> {
  const code = exitCodeOf(state.ending)
  const isKilled = state.ending.kind === 'signaled' && state.ending.signal === 9
  const isOutOfMemory = state.isOutOfMemory || (isKilled && (await wasOutOfMemory(guest)))
  return { code, isOutOfMemory, atMs: Date.now() }
}

/** In a container the host's kernel knows. */
async function wasOutOfMemory(guest: Guest): Promise<boolean> {
  try {
    return (await guest.usage()).outOfMemoryKills > 0
  } catch {
    return false // it is gone, and so is who could tell
  }
}

const exitOfEnd = ({ cause, detail, isOutOfMemory }: GuestEnd): LocalExit => ({
  code: KILLED_CODE,
  isOutOfMemory,
  atMs: Date.now(),
  ...(cause === 'crashed' ? { error: detail ?? 'the machine crashed' } : {}),
})

function exitOf(error: unknown): LocalExit {
  const text = error instanceof GodwitError ? error.message : String(error)
  return { code: UNKNOWN_CODE, isOutOfMemory: false, atMs: Date.now(), error: text }
}

/** In order, so that its disks are clean; a machine that does not obey is killed by what follows. */
async function shutDown(agent: Agent, guest: Guest): Promise<void> {
  try {
    await agent.shutdown({ deadlineMs: SHUTDOWN_MS })
    using deadline = startDeadline('the end of the machine', SHUTDOWN_MS)
    await firstOf(guest.ended, aborted(deadline.signal))
  } catch (error) {
    console.error(error)
  }
}

const gone = (id: MachineId) =>
  new LocalError('local.keeper_failed', { what: 'the machine is gone', values: { machine: id } })
