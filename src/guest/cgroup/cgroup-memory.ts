import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode } from '#base'
import type { Cgroup } from './cgroup.ts'

/**
 * The memory of one guest's control group, changed while it runs. Reading and writing may take as long as the kernel needs to
 * write pages out. Source: Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
 */
export class CgroupMemory {
  readonly #cgroup: Cgroup
  readonly #files: Files

  constructor(cgroup: Cgroup) {
    this.#cgroup = cgroup
    this.#files = cgroup.version === 2 ? VERSION_2 : VERSION_1
  }

  async limitBytes(): Promise<number> {
    return Number(await this.#read(this.#files.limit))
  }

  /** Below the limit, and what of the rest are copies of files, which the kernel lets go of. */
  async availableBytes(): Promise<number> {
    const [limit, used, stat] = await Promise.all([
      this.limitBytes(),
      this.usedBytes(),
      this.#read('memory.stat'),
    ])
    const cached = this.#files.cached.reduce((sum, key) => sum + numberIn(stat, key), 0)
    return Math.max(0, limit - Math.max(0, used - cached))
  }

  async usedBytes(): Promise<number> {
    return Number(await this.#read(this.#files.used))
  }

  /** False: it holds more than that, and everything is as before. Nothing in it dies of this. */
  async setLimit(bytes: number): Promise<boolean> {
    if (this.#cgroup.version === 2) {
      await this.reclaim((await this.usedBytes()) - bytes)
      if ((await this.usedBytes()) > bytes) return false
      await this.#write('memory.max', bytes)
      return true
    }
    const isMore = bytes > (await this.limitBytes())
    // Memory with swap may never be less than memory.
    if (isMore) await this.#writeSwap(bytes)
    try {
      await this.#write('memory.limit_in_bytes', bytes)
    } catch (error) {
      if (errorCode(error) === 'EBUSY') return false // the kernel found too little to let go of
      throw error
    }
    if (!isMore) await this.#writeSwap(bytes)
    return true
  }

  /** Lets go of copies of files, of this much (version 2) or of all (version 1 knows no amount). */
  async reclaim(bytes: number): Promise<void> {
    if (bytes <= 0) return
    if (this.#cgroup.version === 1) return await this.#write('memory.force_empty', 0)
    try {
      await this.#write('memory.reclaim', bytes)
    } catch (error) {
      // Less than was asked for, or a kernel before 5.19.
      if (!['EAGAIN', 'ENOENT', 'EACCES'].includes(errorCode(error) ?? '')) throw error
    }
  }

  async #writeSwap(bytes: number): Promise<void> {
    try {
      await this.#write('memory.memsw.limit_in_bytes', bytes)
    } catch (error) {
      if (!['ENOENT', 'EACCES'].includes(errorCode(error) ?? '')) throw error // a kernel without
    }
  }

  async #write(file: string, value: number): Promise<void> {
    await writeFile(join(this.#cgroup.folderOf('memory'), file), String(value), { flag: 'r+' })
  }

  async #read(file: string): Promise<string> {
    return await readFile(join(this.#cgroup.folderOf('memory'), file), 'utf8')
  }
}

interface Files {
  readonly limit: string
  readonly used: string
  /** Keys of memory.stat. */
  readonly cached: readonly string[]
}

const VERSION_1: Files = {
  limit: 'memory.limit_in_bytes',
  used: 'memory.usage_in_bytes',
  cached: ['total_inactive_file', 'total_active_file'],
}
const VERSION_2: Files = {
  limit: 'memory.max',
  used: 'memory.current',
  cached: ['inactive_file', 'active_file'],
}

function numberIn(text: string, key: string): number {
  return Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(text)?.[1] ?? 0)
}
