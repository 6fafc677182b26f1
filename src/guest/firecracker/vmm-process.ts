/**
 * One Firecracker process. It belongs to nobody: it lives on when its starter dies, and whoever knows
 * its pid and the time of its start takes it over. The pair is the name: a pid alone may be another's.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile } from 'node:fs/promises'
import { errorCode, pollUntil } from '#base'
import { ApiClient } from './api-client.ts'
import { FirecrackerError } from './errors.ts'

export interface VmmProcess {
  readonly pid: number
  /** Field 22 of /proc/PID/stat: ticks since the host booted. */
  readonly startTicks: string
}

export interface VmmCall {
  readonly signal?: AbortSignal | undefined
  /** @default 10_000 */
  readonly deadlineMs?: number
}

export interface VmmStart {
  /** Firecracker, or the jailer, which becomes Firecracker under the same pid. */
  readonly command: string
  readonly arguments: readonly string[]
  /** As the host sees it. Must not exist: sockets are left behind by every kind of end. */
  readonly apiSocket: string
  /** Gets what the process prints. */
  readonly logPath: string
  /** Called as soon as there is a process, before it is waited for. */
  readonly onStarted?: (pid: number) => void
}

const START_MS = 10_000
const LOG_CHARS_MAX = 2_000

/**
 * Starts the process and waits until its API answers. One that does not is killed.
 *
 * @throws FirecrackerError guest.vmm_gone with its last words; BaseError base.deadline_exceeded.
 */
export async function startVmm(start: VmmStart, call: VmmCall = {}): Promise<VmmProcess> {
  const started = await spawnVmm(start)
  try {
    using client = new ApiClient(start.apiSocket)
    await pollUntil('Firecracker to answer', () => doesAnswer(client, started, start), {
      deadlineMs: START_MS,
      ...call,
    })
    return started
  } catch (error) {
    await killVmm(started)
    throw error
  }
}

async function spawnVmm(start: VmmStart): Promise<VmmProcess> {
  await using log = await open(start.logPath, 'a', 0o600)
  const child = spawn(start.command, start.arguments, {
    detached: true,
    env: {},
    stdio: ['ignore', log.fd, log.fd],
  })
  await once(child, 'spawn').catch((cause: unknown) => {
    throw new FirecrackerError('guest.vmm_gone', {
      what: 'Firecracker cannot be started',
      values: { command: start.command },
      cause,
    })
  })
  child.unref()
  const started = await findVmm(child.pid ?? 0)
  if (started === undefined) throw await endedEarly(start)
  try {
    start.onStarted?.(started.pid)
    return started
  } catch (error) {
    await killVmm(started)
    throw error
  }
}

async function doesAnswer(client: ApiClient, started: VmmProcess, start: VmmStart) {
  try {
    await client.send({ method: 'GET', path: '/' }, { deadlineMs: START_MS })
    return true
  } catch (error) {
    if (errorCode(error) !== 'guest.vmm_gone') throw error
    if (!(await isRunning(started))) throw await endedEarly(start)
    return false
  }
}

async function endedEarly({ command, logPath }: VmmStart): Promise<FirecrackerError> {
  const log = await readFile(logPath, 'utf8')
  return new FirecrackerError('guest.vmm_gone', {
    what: 'Firecracker ended before it answered',
    values: { command, said: log.slice(-LOG_CHARS_MAX) },
  })
}

/** The process that has this pid now; undefined when there is none, or only its remains. */
export async function findVmm(pid: number): Promise<VmmProcess | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    // The name stands in parentheses and may hold any letter; the third field follows the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state, startTicks] = [fields[0], fields[19]]
    if (state === 'Z' || state === 'X' || startTicks === undefined) return undefined
    return { pid, startTicks }
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(errorCode(error) ?? '')) return undefined
    throw error
  }
}

export async function isRunning({ pid, startTicks }: VmmProcess): Promise<boolean> {
  return (await findVmm(pid))?.startTicks === startTicks
}

/** Resolves when it is gone; another process that has its pid by now is left alone. May be repeated. */
export async function killVmm(vmm: VmmProcess, call: VmmCall = {}): Promise<void> {
  if (await isRunning(vmm)) {
    try {
      process.kill(vmm.pid, 'SIGKILL')
    } catch (error) {
      if (errorCode(error) !== 'ESRCH') throw error
    }
  }
  await pollUntil('Firecracker to end', async () => !(await isRunning(vmm)), {
    deadlineMs: START_MS,
    ...call,
  })
}
