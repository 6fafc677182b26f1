import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { configBad } from './errors.ts'

const run = promisify(execFile)
const DEADLINE_MS = 60_000

/** Makes a swap area of a device. */
export async function runMkswap(path: string, signal?: AbortSignal): Promise<void> {
  try {
    await run('mkswap', [path], { timeout: DEADLINE_MS, ...(signal ? { signal } : {}) })
  } catch (cause) {
    signal?.throwIfAborted()
    const said = (cause as { stderr?: string }).stderr ?? ''
    throw configBad('the swap area cannot be made', { path, said: said.trim() }, 'give it more MiB')
  }
}
