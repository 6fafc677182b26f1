import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import { FlydError } from '../errors.ts'
import type { Store, Write } from './store.ts'

export interface LmdbStoreOptions {
  /** Made when missing. */
  readonly folder: string
  /** For one that only reads; it may run beside the one that writes. */
  readonly isReadOnly?: boolean
}

/**
 * The store of a host: one LMDB file. A batch is a transaction, synced before it resolves; batches that come
 * while one is being synced share the next one.
 */
export class LmdbStore implements Store, AsyncDisposable {
  readonly #database: RootDatabase<unknown, string>

  private constructor(database: RootDatabase<unknown, string>) {
    this.#database = database
  }

  /** @throws FlydError flyd.log_bad */
  static open({ folder, isReadOnly = false }: LmdbStoreOptions): LmdbStore {
    try {
      if (!isReadOnly) mkdirSync(folder, { recursive: true, mode: 0o700 })
      const database = open<unknown, string>({
        path: join(folder, 'flyd.mdb'),
        noSubdir: true,
        encoding: 'json',
        readOnly: isReadOnly,
        overlappingSync: false, // a commit that has resolved has been synced
      })
      return new LmdbStore(database)
    } catch (cause) {
      throw new FlydError('flyd.log_bad', {
        what: 'the log of flyd cannot be opened',
        values: { folder },
        fix: 'check that the folder is there, readable and on a local file system',
        cause,
      })
    }
  }

  get(key: string): unknown {
    return this.#database.get(key)
  }

  *entries(prefix: string): Generator<readonly [string, unknown]> {
    // The largest code unit ends every key that begins with the prefix.
    const range = this.#database.getRange({ start: prefix, end: `${prefix}\uffff` })
    for (const { key, value } of range) yield [key, value]
  }

  async commit(batch: readonly Write[]): Promise<void> {
    await this.#database.batch(() => {
      for (const write of batch) {
        if ('put' in write) void this.#database.put(write.put, write.value)
        else void this.#database.remove(write.remove)
      }
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#database.close()
  }
}
