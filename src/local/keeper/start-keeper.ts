import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pollUntil } from '#base'
import { identify } from '#supervise'
import { LocalError } from '../errors.ts'
import type { LocalHost } from '../local-host.ts'
import type { LocalRecord } from '../machine-record.ts'
import { connectKeeper } from './keeper-client.ts'

const PROGRAM = join(import.meta.dirname, 'keeper-main.ts')
const START_MS = 60_000
const SAID_CHARS_MAX = 2_000

/**
 * Starts the process that keeps a machine: boots it, or adopts it when it runs. It belongs to nobody's
 * terminal, and begins when the record names it: whoever dies in here leaves either.
 *
 * @returns the keeper listens then. @throws LocalError local.keeper_failed
 */
export async function startKeeper(host: LocalHost, record: LocalRecord): Promise<void> {
  const folder = host.records.folderOf(record.id)
  const logPath = join(folder, 'keeper.log')
  const log = openSync(logPath, 'a', 0o600)
  const words = ['--disable-warning=ExperimentalWarning', PROGRAM, host.folders.root, record.id]
  const child = spawn(process.execPath, words, {
    detached: true,
    cwd: '/',
    stdio: ['pipe', log, log],
  })
  closeSync(log)
  await once(child, 'spawn')
  child.stdin?.on('error', () => undefined) // it ended: that is looked at below
  await host.change(() => {
    const actor = identify(child.pid ?? 0)
    const phase = record.phase === 'running' ? 'running' : 'starting'
    const present = host.records.read(record.id) ?? record
    if (actor !== undefined) host.records.write({ ...present, phase, actor })
  })
  child.stdin?.end('go\n')
  child.unref()
  await pollUntil(
    'the keeper of the machine',
    async () => {
      if (child.exitCode !== null || child.signalCode !== null) throw died(logPath, record)
      const socket = await connectKeeper(host, record.id)
      socket?.destroy()
      return socket !== undefined
    },
    { deadlineMs: START_MS },
  )
}

const died = (logPath: string, { id }: LocalRecord) =>
  new LocalError('local.keeper_failed', {
    what: 'the process that keeps the machine did not begin',
    values: { machine: id, said: readFileSync(logPath, 'utf8').trim().slice(-SAID_CHARS_MAX) },
  })
