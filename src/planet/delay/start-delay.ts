import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { addAbortSignal, type Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { ErrorJson } from '#base'
import { type DelayConfig, parseDelayConfig } from './config.ts'
import { DelayError, type DelayErrorCode } from './errors.ts'

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url))
const READY_DEADLINE_MS = 15_000

export interface StartDelayOptions {
  /** Where the configuration is written for the process to read. */
  readonly configFile: string
  /** Where its log goes, appended. */
  readonly logFile: string
  /** Its whole environment. Default: this process's. */
  readonly env?: NodeJS.ProcessEnv
  readonly signal?: AbortSignal
}

export interface DelayProcess {
  readonly pid: number
  /** Resolves when all links carry frames. @throws DelayError the process's own, or delay.start_failed */
  readonly ready: Promise<void>
}

/**
 * Starts the process that carries the links of `config`: a daemon in a session of its own, which
 * lives on when its caller ends. SIGTERM ends it; so does the removal of its namespaces. When it
 * does not become ready, it is ended.
 *
 * @throws DelayError delay.config_bad, before anything was started.
 */
export function startDelay(config: DelayConfig, options: StartDelayOptions): DelayProcess {
  options.signal?.throwIfAborted()
  writeFileSync(options.configFile, JSON.stringify(parseDelayConfig(config)))
  const log = openSync(options.logFile, 'a', 0o600)
  try {
    const args = ['--disable-warning=ExperimentalWarning', MAIN, options.configFile]
    const child = spawn(process.execPath, args, {
      detached: true,
      stdio: ['ignore', 'pipe', log],
      cwd: '/',
      env: options.env ?? process.env,
    })
    child.unref()
    return { pid: child.pid ?? 0, ready: waitReady(child, child.stdout, options) }
  } finally {
    closeSync(log)
  }
}

type Report = { readonly type: 'ready' } | ({ readonly type: 'failed' } & ErrorJson)

async function waitReady(
  child: ChildProcess,
  stdout: Readable | null,
  { logFile, signal }: StartDelayOptions,
): Promise<void> {
  assert(stdout !== null, 'it was spawned with a pipe')
  const deadline = AbortSignal.timeout(READY_DEADLINE_MS)
  const stop = signal === undefined ? deadline : AbortSignal.any([signal, deadline])
  try {
    await once(child, 'spawn', { signal: stop })
    const report = await firstLine(stdout, stop)
    if (report.type === 'ready') return
    throw new DelayError(report.code as DelayErrorCode, report)
  } catch (error) {
    child.kill('SIGKILL') // the one we started: it is not reaped before this process hears of it
    signal?.throwIfAborted()
    if (error instanceof DelayError) throw error
    throw new DelayError('delay.start_failed', {
      what: 'the delay process did not become ready',
      values: { reason: error, logFile },
      cause: error,
    })
  } finally {
    stdout.destroy() // it writes nothing more
  }
}

async function firstLine(stdout: Readable, signal: AbortSignal): Promise<Report> {
  addAbortSignal(signal, stdout)
  let text = ''
  for await (const piece of stdout) {
    text += piece
    const end = text.indexOf('\n')
    if (end >= 0) return JSON.parse(text.slice(0, end)) as Report // our own program wrote it
  }
  throw new Error('it ended without a word')
}
