/**
 * A pool for hosts whose file system cannot share blocks: XFS in a sparse file, mounted through a loop
 * device. The kernel drops the loop device with the mount, so there is never one without the other. The
 * mount outlives its maker: guests use what is in it. `ensureLoopPool` finds it again, or mounts it anew
 * after a restart of the host.
 *
 * All calls are for who holds the pool's lock.
 */
import { existsSync } from 'node:fs'
import { mkdir, open, readFile, realpath, rename, rm, stat, statfs } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { retry, syncPath } from '#base'
import { VolumeError } from '../errors.ts'
import { runTool } from '../run-tool.ts'

/** mkfs.xfs refuses less than 300 MiB. */
export const POOL_BYTES_MIN = 512 << 20

const OTHER_MOUNT = { baseMs: 10, capMs: 200, deadlineMs: 10_000 }

export interface LoopPool {
  readonly file: string
  readonly mountPoint: string
}

/** Makes, grows and mounts the pool, as far as that is still to be done. @throws VolumeError */
export async function ensureLoopPool(
  { file, mountPoint }: LoopPool,
  sizeBytes: number,
  signal?: AbortSignal,
): Promise<void> {
  if (!existsSync(file)) await makePool(file, sizeBytes, signal)
  await growFile(file, sizeBytes)
  const device = await retry(() => mountLoop({ file, mountPoint }, signal), {
    ...OTHER_MOUNT,
    operation: 'mounting the pool',
    isTransient: isMountedMeanwhile,
    signal,
  })
  if ((await fileSystemBytes(file)) < (await stat(file)).size) {
    await runTool('losetup', ['--set-capacity', device], { signal })
    await runTool('xfs_growfs', ['-d', mountPoint], { signal })
  }
}

/** Mounts the pool unless it is. @returns its loop device */
async function mountLoop(pool: LoopPool, signal?: AbortSignal): Promise<string> {
  const present = await mountedLoop(pool, signal)
  if (present !== undefined) return present
  const { file, mountPoint } = pool
  await mkdir(mountPoint, { recursive: true, mode: 0o700 })
  const options = 'loop,discard,nosuid,nodev,noexec'
  await runTool('mount', ['-t', 'xfs', '-o', options, file, mountPoint], { signal })
  const device = await mountedLoop(pool, signal)
  if (device === undefined) throw broken('the pool was mounted, and is not', { mountPoint })
  return device
}

/** By what a process that was killed had begun: its `mount` ends within the kernel, after the lock is free. */
const isMountedMeanwhile = (error: unknown) =>
  error instanceof VolumeError && String(error.values['said']).includes('already mounted')

/** Unmounts the pool, which drops its loop device. @throws VolumeError volume.in_use while it is used */
export async function releaseLoopPool(pool: LoopPool, signal?: AbortSignal): Promise<void> {
  if ((await mountedLoop(pool, signal)) === undefined) return
  try {
    await runTool('umount', [pool.mountPoint], { signal })
  } catch (cause) {
    signal?.throwIfAborted()
    throw new VolumeError('volume.in_use', {
      what: 'something in the pool is open',
      values: { mountPoint: pool.mountPoint },
      cause,
    })
  }
}

async function makePool(file: string, sizeBytes: number, signal?: AbortSignal): Promise<void> {
  if (sizeBytes < POOL_BYTES_MIN) {
    throw new VolumeError('volume.size_bad', {
      what: 'too small for a pool',
      values: { sizeBytes, sizeBytesMin: POOL_BYTES_MIN },
    })
  }
  const draft = `${file}.new`
  await rm(draft, { force: true })
  const handle = await open(draft, 'wx', 0o600)
  await handle.truncate(sizeBytes).finally(() => handle.close())
  await runTool('mkfs.xfs', ['-q', '-m', 'reflink=1', draft], { signal })
  await syncPath(draft)
  await rename(draft, file)
  await syncPath(dirname(file))
}

async function growFile(file: string, sizeBytes: number): Promise<void> {
  const handle = await open(file, 'r+')
  try {
    if ((await handle.stat()).size >= sizeBytes) return
    await handle.truncate(sizeBytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** The size that XFS knows of. Source: xfs_db(8), superblock: magic, block size, count of blocks. */
async function fileSystemBytes(file: string): Promise<number> {
  const handle = await open(file, 'r')
  try {
    const { buffer } = await handle.read(Buffer.alloc(16), 0, 16, 0)
    if (buffer.toString('latin1', 0, 4) !== 'XFSB') throw broken('the pool is not XFS', { file })
    return buffer.readUInt32BE(4) * Number(buffer.readBigUInt64BE(8))
  } finally {
    await handle.close()
  }
}

/** The loop device that the pool is mounted from. @throws VolumeError volume.pool_broken: it is something else */
async function mountedLoop(
  { file, mountPoint }: LoopPool,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const place = join(await realpath(dirname(mountPoint)), basename(mountPoint))
  const mounts = parseMounts(await readFile('/proc/self/mountinfo', 'utf8'))
  const mount = mounts.findLast((one) => one.mountPoint === place)
  if (mount === undefined) return undefined
  const words = ['--noheadings', '--list', '--output', 'NAME', '--associated', file]
  const { stdout } = await runTool('losetup', words, { signal })
  const devices = stdout.split('\n').map((line) => line.trim())
  if (mount.fsType !== 'xfs' || !devices.includes(mount.source)) {
    throw broken('something else is mounted where the pool should be', { ...mount, file })
  }
  await assertAlive(mountPoint)
  return mount.source
}

async function assertAlive(mountPoint: string): Promise<void> {
  try {
    await statfs(mountPoint)
  } catch (cause) {
    throw broken('the file system of the pool was shut down by the kernel', { mountPoint }, cause)
  }
}

interface Mount {
  readonly mountPoint: string
  readonly fsType: string
  readonly source: string
}

/** Source: proc(5), /proc/pid/mountinfo. */
export function parseMounts(mountinfo: string): Mount[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [before, after] = line.split(' - ')
    const mountPoint = before?.split(' ')[4]
    const [fsType, source] = after?.split(' ') ?? []
    if (mountPoint === undefined || fsType === undefined || source === undefined) return []
    return [{ mountPoint: unescapeOctal(mountPoint), fsType, source: unescapeOctal(source) }]
  })
}

const unescapeOctal = (text: string) =>
  Buffer.from(
    text.replaceAll(/\\([0-7]{3})/g, (_, digits) =>
      String.fromCharCode(Number.parseInt(digits, 8)),
    ),
    'latin1',
  ).toString('latin1')

function broken(what: string, values: Record<string, unknown>, cause?: unknown): VolumeError {
  return new VolumeError('volume.pool_broken', {
    what,
    values,
    fix: 'see the kernel log; after a full host disk: make room, stop the machines, unmount, and start again',
    cause,
  })
}
