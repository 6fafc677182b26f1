import { closeSync, openSync } from 'node:fs'
import { pollUntil } from '#base'
import { VolumeError } from './errors.ts'
import { tryLock } from './libc.ts'

const WAIT_MS = 60_000
const INTERVAL_MS = 2

/**
 * Lets one change of a pool happen at a time, among all processes of the host: flock(2) on a file, which
 * the kernel undoes when its holder dies, however it dies.
 */
export class PoolLock {
  readonly #path: string
  readonly #waitMs: number

  constructor(path: string, waitMs = WAIT_MS) {
    this.#path = path
    this.#waitMs = waitMs
  }

  /** @throws VolumeError volume.pool_busy, the signal's reason, or what `work` throws. */
  async hold<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const fd = openSync(this.#path, 'a', 0o600)
    try {
      await this.#wait(fd, signal)
      return await work()
    } finally {
      closeSync(fd)
    }
  }

  async #wait(fd: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    if (tryLock(fd)) return
    const options = { deadlineMs: this.#waitMs, intervalMs: INTERVAL_MS, signal }
    try {
      await pollUntil('the lock of the pool', () => tryLock(fd), options)
    } catch (cause) {
      signal?.throwIfAborted()
      throw new VolumeError('volume.pool_busy', {
        what: 'another process keeps the pool',
        values: { lock: this.#path, waitMs: this.#waitMs },
        cause,
      })
    }
  }
}
