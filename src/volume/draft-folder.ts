import { type FileHandle, mkdtemp, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { tryLock } from './libc.ts'

/**
 * A folder for work that is not done, or for what is on its way out. Its owner has it locked, so what
 * nobody has locked belongs to a process that died.
 * All calls but `drop` are for who holds the lock of the parent.
 */
export class DraftFolder {
  readonly path: string
  readonly #handle: FileHandle

  private constructor(path: string, handle: FileHandle) {
    this.path = path
    this.#handle = handle
  }

  static async make(parent: string): Promise<DraftFolder> {
    const path = await mkdtemp(join(parent, 'draft-'))
    const handle = await open(path, 'r')
    tryLock(handle.fd) // nobody else looks: the caller holds the parent's lock
    return new DraftFolder(path, handle)
  }

  /** Removes what is still there. */
  async drop(): Promise<void> {
    try {
      await rm(this.path, { recursive: true, force: true })
    } finally {
      await this.#handle.close()
    }
  }

  /** Removes the drafts of processes that died. */
  static async sweep(parent: string): Promise<void> {
    for (const name of await readdir(parent)) {
      const path = join(parent, name)
      const handle = await open(path, 'r')
      try {
        if (tryLock(handle.fd)) await rm(path, { recursive: true, force: true })
      } finally {
        await handle.close()
      }
    }
  }
}
