import { closeSync, copyFileSync, mkdirSync, openSync, statSync, truncateSync } from 'node:fs'
import { dirname } from 'node:path'
import { errorCode } from '#base'

/**
 * Where a process writes what it prints, itself: that outlives whoever supervises it. Bounded: what is too much
 * goes to `<path>.1`, over what was there.
 */
export class OutputFile {
  readonly path: string
  readonly #bytesMax: number

  constructor(path: string, bytesMax = 8 << 20) {
    this.path = path
    this.#bytesMax = bytesMax
  }

  /** Hands it to `use` as a file descriptor to append to. */
  with<T>(use: (fd: number) => T): T {
    mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 })
    const fd = openSync(this.path, 'a', 0o600)
    try {
      return use(fd)
    } finally {
      closeSync(fd)
    }
  }

  /** The writer appends, so it goes on at the file's new end. A line or two may be lost in between. */
  trim(): void {
    try {
      if (statSync(this.path).size <= this.#bytesMax) return
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return
      throw error
    }
    copyFileSync(this.path, `${this.path}.1`)
    truncateSync(this.path)
  }
}
