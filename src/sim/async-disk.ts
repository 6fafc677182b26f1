import type { Random } from '#base'
import type { Disk } from './disk.ts'
import type { Incarnation, Kernel } from './kernel.ts'
import { scheduleFor } from './sim-clock.ts'

/** `Disk` with a promise in place of each result. */
export type AsyncDisk = {
  readonly [Name in keyof Disk]: (
    ...args: Parameters<Disk[Name]>
  ) => Promise<ReturnType<Disk[Name]>>
}

const CALL_MS_MAX = 0.2
const SYNC_MS_MAX = 8

/**
 * The disk for code that awaits it. Each call takes its time (up to 0.2 ms, a sync up to 8 ms),
 * has its effect at the end of it, and then settles. Calls that are in flight together may
 * finish in any order, as in a thread pool: what must come after, awaits. Buffers belong to the
 * disk until the promise settles. A call whose node dies never settles.
 */
export function asyncDisk(kernel: Kernel, owner: Incarnation, disk: Disk): AsyncDisk {
  const random = kernel.stream('disk-latency', owner.nodeId, owner.number)
  const later = laterBy(kernel, owner, random)
  return {
    write: (...args) => later(CALL_MS_MAX, () => disk.write(...args)),
    append: (...args) => later(CALL_MS_MAX, () => disk.append(...args)),
    truncate: (...args) => later(CALL_MS_MAX, () => disk.truncate(...args)),
    rename: (...args) => later(CALL_MS_MAX, () => disk.rename(...args)),
    unlink: (...args) => later(CALL_MS_MAX, () => disk.unlink(...args)),
    fsync: (...args) => later(SYNC_MS_MAX, () => disk.fsync(...args)),
    fsyncDirectory: (...args) => later(SYNC_MS_MAX, () => disk.fsyncDirectory(...args)),
    read: (...args) => later(CALL_MS_MAX, () => disk.read(...args)),
    size: (...args) => later(CALL_MS_MAX, () => disk.size(...args)),
    list: (...args) => later(CALL_MS_MAX, () => disk.list(...args)),
  }
}

type Later = <T>(maxMs: number, call: () => T) => Promise<T>

function laterBy(kernel: Kernel, owner: Incarnation, random: Random): Later {
  return (maxMs, call) =>
    new Promise((resolve, reject) => {
      if (!owner.isAlive) return
      scheduleFor(kernel, owner, random.next() * maxMs, () => {
        try {
          resolve(call())
        } catch (error) {
          if (owner.isAlive) reject(error)
        }
      })
    })
}
