/**
 * The C library's calls that Node has no function for, through node:ffi (Linux with glibc). No JavaScript
 * runs between a call and the reading of its errno. Memory that the kernel writes to is an ArrayBuffer,
 * which never moves; a small typed array's may.
 */
import { getRawPointer } from 'node:ffi'
import { constants } from 'node:os'
import { getSystemErrorName } from 'node:util'
import { errno, openLibc } from '#native'
import { VolumeError } from './errors.ts'

const { functions: libc } = openLibc({
  flock: { return: 'int32', arguments: ['int32', 'int32'] },
  lseek: { return: 'int64', arguments: ['int32', 'int64', 'int32'] },
  ioctl: { return: 'int32', arguments: ['int32', 'uint64', 'pointer'] },
})

function systemError(call: string, values: Record<string, unknown>): VolumeError {
  const why = getSystemErrorName(-errno())
  return new VolumeError('volume.system', {
    what: `${call} failed`,
    values: { ...values, errno: why },
  })
}

const LOCK_EX = 2
const LOCK_NB = 4

/** Locks the open file for this descriptor, which the kernel undoes when it is closed. @returns false: another has it */
export function tryLock(fd: number): boolean {
  if (libc.flock(fd, LOCK_EX | LOCK_NB) === 0) return true
  if (errno() === constants.errno.EWOULDBLOCK) return false
  throw systemError('flock', { fd })
}

const SEEK_DATA = 3

/** Where the next bytes of an open file are that are no hole, from `at` on. @returns undefined: nowhere */
export function nextData(fd: number, at: number): number | undefined {
  const found = libc.lseek(fd, BigInt(at), SEEK_DATA)
  if (found >= 0n) return Number(found)
  if (errno() === constants.errno.ENXIO) return undefined
  throw systemError('lseek', { fd, at })
}

/** A piece of a file that has bytes on disk. */
export interface Extent {
  readonly startBytes: number
  readonly lengthBytes: number
  /** Other files refer to the same bytes. */
  readonly isShared: boolean
}

const FS_IOC_FIEMAP = 0xc020660b
const FIEMAP_FLAG_SYNC = 1
const FIEMAP_EXTENT_LAST = 1
const FIEMAP_EXTENT_SHARED = 0x2000
const HEADER_BYTES = 32
const EXTENT_BYTES = 56
const EXTENT_COUNT = 512

/**
 * The extents of an open file, as many as one call gives. Source: the kernel's
 * Documentation/filesystems/fiemap.rst.
 *
 *   header  0 start u64, 8 length u64, 16 flags u32, 20 mapped u32, 24 room u32
 *   extent  0 logical u64, 8 physical u64, 16 length u64, 40 flags u32
 */
export function* fileExtents(fd: number): Generator<Extent> {
  const memory = new ArrayBuffer(HEADER_BYTES + EXTENT_COUNT * EXTENT_BYTES)
  const view = new DataView(memory)
  for (let startBytes = 0n; ; ) {
    view.setBigUint64(0, startBytes, true)
    view.setBigUint64(8, 2n ** 63n - 1n, true)
    view.setUint32(16, FIEMAP_FLAG_SYNC, true)
    view.setUint32(24, EXTENT_COUNT, true)
    if (libc.ioctl(fd, BigInt(FS_IOC_FIEMAP), getRawPointer(memory)) < 0) {
      throw systemError('ioctl FIEMAP', { fd })
    }
    const count = view.getUint32(20, true)
    for (let index = 0; index < count; index += 1) {
      const at = HEADER_BYTES + index * EXTENT_BYTES
      const [logical, length] = [view.getBigUint64(at, true), view.getBigUint64(at + 16, true)]
      const flags = view.getUint32(at + 40, true)
      startBytes = logical + length
      yield {
        startBytes: Number(logical),
        lengthBytes: Number(length),
        isShared: (flags & FIEMAP_EXTENT_SHARED) !== 0,
      }
      if (flags & FIEMAP_EXTENT_LAST) return
    }
    if (count === 0) return
  }
}
