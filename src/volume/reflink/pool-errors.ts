import { errorCode } from '#base'
import { VolumeError } from '../errors.ts'

/** What the file system of a pool refused, as ours; anything else as it is. */
export function asVolumeError(error: unknown, pool: string): unknown {
  const code = errorCode(error)
  if (error instanceof VolumeError || code === undefined) return error
  if (code === 'ENOSPC' || code === 'EDQUOT') return full(pool, { errno: code }, error)
  if (code === 'EIO' || code === 'EROFS') return broken(pool, error)
  if (!/^E[A-Z0-9]+$/.test(code)) return error
  return new VolumeError('volume.system', {
    what: 'the file system of the pool refused a call',
    values: { pool, errno: code },
    cause: error,
  })
}

export function full(pool: string, values: Record<string, unknown>, cause?: unknown): VolumeError {
  return new VolumeError('volume.pool_full', {
    what: 'the pool is full',
    values: { pool, ...values },
    fix: 'remove machines, volumes or unused images, or make it larger',
    cause,
  })
}

export function foreign(path: string): VolumeError {
  return new VolumeError('volume.pool_broken', {
    what: 'not a device of this pool',
    values: { path },
    fix: 'move it out of the pool',
  })
}

function broken(pool: string, cause: unknown): VolumeError {
  return new VolumeError('volume.pool_broken', {
    what: 'the disk below the pool fails, or its file system was shut down',
    values: { pool, errno: errorCode(cause) },
    fix: 'see the kernel log; after a full host disk: make room, stop the machines, unmount, start again',
    cause,
  })
}
