import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode } from '#base'
import type { GuestExit } from '../model/guest-exit.ts'

/**
 * How the present guest of a machine ended, kept until it is booted anew: whoever asks again after a
 * crash gets the same answer. A file each.
 */
export class ExitRecords {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  }

  /** The first counts: what comes after it, such as our own kill, is not how it ended. */
  keep(id: string, exit: GuestExit): GuestExit {
    const known = this.of(id)
    if (known !== undefined) return known
    const draft = join(this.#folder, `${id}.new`)
    writeFileSync(draft, JSON.stringify(exit), { mode: 0o600 })
    renameSync(draft, join(this.#folder, id))
    return exit
  }

  of(id: string): GuestExit | undefined {
    try {
      return JSON.parse(readFileSync(join(this.#folder, id), 'utf8')) as GuestExit
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined
      throw error
    }
  }

  forget(id: string): void {
    rmSync(join(this.#folder, id), { force: true })
  }

  list(): string[] {
    return readdirSync(this.#folder).filter((name) => !name.endsWith('.new'))
  }
}
