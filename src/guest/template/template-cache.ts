/**
 * Saved machines from which others start: files by a key that says everything they depend on. A cache: any
 * of it may be lost at any time, and nobody who has opened a file notices. Bounded in bytes; what was used
 * last stays longest.
 */
import { futimesSync, mkdirSync, openSync, readdirSync, rmSync, statSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode, type Random } from '#base'

export interface TemplateCacheOptions {
  /** Made when missing. Whoever can write here can take over every machine. */
  readonly folder: string
  readonly bytesMax: number
  readonly random: Random
}

const SUFFIX = '.template'
const DRAFT_SUFFIX = '.new'
/** Longer than the longest deadline for saving a machine. */
const DRAFT_AGE_MS = 600_000
const DRAFT_NAME_BYTES = 8

export class TemplateCache {
  readonly #options: TemplateCacheOptions
  readonly #making = new Set<string>()

  constructor(options: TemplateCacheOptions) {
    this.#options = options
  }

  /** A descriptor to read it from, to be closed by the caller; undefined when there is none. */
  open(key: string): number | undefined {
    try {
      const descriptor = openSync(this.#path(key), 'r')
      const now = new Date()
      futimesSync(descriptor, now, now) // it was used last
      return descriptor
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined
      throw error
    }
  }

  /**
   * Adds one that `save` writes to the path it is given, which does not exist; it appears whole or not at
   * all. Of two that are made of one key at once, the second is not made.
   *
   * @returns false when it was not made. @throws whatever `save` throws
   */
  async add(key: string, save: (path: string) => Promise<void>): Promise<boolean> {
    if (this.#making.has(key)) return false
    this.#making.add(key)
    const { folder, random } = this.#options
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const name = Buffer.from(random.bytes(DRAFT_NAME_BYTES)).toString('hex')
    const draft = join(folder, `${name}${DRAFT_SUFFIX}`)
    try {
      await save(draft)
      await rename(draft, this.#path(key))
    } finally {
      this.#making.delete(key)
      rmSync(draft, { force: true })
    }
    this.#shrink()
    return true
  }

  /** One that turned out to be bad. */
  remove(key: string): void {
    rmSync(this.#path(key), { force: true })
  }

  #path(key: string): string {
    return join(this.#options.folder, `${key}${SUFFIX}`)
  }

  /** Oldest first until the rest is small enough; and drafts of processes that were killed. */
  #shrink(): void {
    const { folder, bytesMax } = this.#options
    const found = readdirSync(folder).flatMap((name) => describe(join(folder, name)))
    for (const { path, usedMs } of found) {
      if (path.endsWith(DRAFT_SUFFIX) && Date.now() - usedMs > DRAFT_AGE_MS) rmSync(path, FORCE)
    }
    const templates = found.filter(({ path }) => path.endsWith(SUFFIX))
    let bytes = templates.reduce((sum, one) => sum + one.bytes, 0)
    for (const one of templates.sort((a, b) => a.usedMs - b.usedMs)) {
      if (bytes <= bytesMax) return
      rmSync(one.path, FORCE)
      bytes -= one.bytes
    }
  }
}

const FORCE = { force: true }

/** Empty for one that another process has just removed. */
function describe(path: string): { path: string; bytes: number; usedMs: number }[] {
  try {
    const { size, mtimeMs } = statSync(path)
    return [{ path, bytes: size, usedMs: mtimeMs }]
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return []
    throw error
  }
}
