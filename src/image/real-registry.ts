import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { pollUntil } from '#base'

const run = promisify(execFile)
const START_DEADLINE_MS = 20_000
const PUSH_DEADLINE_MS = 120_000

/**
 * Debian's docker-registry on a loopback port of its own choice, with its blobs below `folder`; ends
 * with its disposal. For tests and benchmarks.
 */
export async function startRealRegistry(folder: string) {
  const data = join(folder, 'registry')
  mkdirSync(data)
  const config = join(folder, 'registry.yml') // JSON is YAML, too
  const storage = { filesystem: { rootdirectory: data } }
  const http = { addr: '127.0.0.1:0' }
  writeFileSync(config, JSON.stringify({ version: '0.1', storage, http }))
  const logPath = join(folder, 'registry.log')
  const log = openSync(logPath, 'w')
  const server = spawn('docker-registry', ['serve', config], { stdio: ['ignore', log, log] })
  closeSync(log)
  try {
    const look = () => addressOf(server, logPath)
    const host = await pollUntil('the start of a registry', look, { deadlineMs: START_DEADLINE_MS })
    return {
      host,
      /** Pushes `v1` of the OCI layout at `layout`. */
      push: async (layout: string, name: string, options: readonly string[] = []) => {
        const flags = ['copy', '-q', '--dest-tls-verify=false', ...options]
        const words = [...flags, `oci:${layout}:v1`, `docker://${host}/${name}`]
        await run('skopeo', words, { timeout: PUSH_DEADLINE_MS })
      },
      [Symbol.asyncDispose]: () => end(server),
    }
  } catch (error) {
    await end(server)
    throw error
  }
}

function addressOf(server: ChildProcess, logPath: string): string | undefined {
  const log = readFileSync(logPath, 'utf8')
  if (server.pid === undefined || hasEnded(server)) {
    throw new Error(`docker-registry did not start: ${log.slice(-500)}`)
  }
  return /listening on (127\.0\.0\.1:\d+)/.exec(log)?.[1]
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess) =>
  exitCode !== null || signalCode !== null

async function end(server: ChildProcess): Promise<void> {
  if (server.pid === undefined || hasEnded(server)) return
  const exited = once(server, 'exit')
  server.kill('SIGKILL') // it keeps nothing that a test needs
  await exited
}
