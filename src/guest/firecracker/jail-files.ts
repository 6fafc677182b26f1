import { execFile } from 'node:child_process'
import { chmod, chown, copyFile, link, mkdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { errorCode } from '#base'
import { FirecrackerError } from './errors.ts'
import type { Jail } from './jail.ts'

const run = promisify(execFile)

export interface JailFile {
  readonly from: string
  /** Absolute, as the jailed process names it. */
  readonly to: string
  /**
   * `linked`: the file itself, its owner becomes the guest's. `shared`: the file itself, which other guests
   * read too: it stays its owner's, and everybody who reaches it may read it. `copied`: of its own.
   * A block device becomes a node of the same device, in every case.
   */
  readonly how: 'linked' | 'shared' | 'copied'
  /** @default true */
  readonly isWritable?: boolean
}

/**
 * Makes the jail's root and the files that the guest needs. Remains of an earlier start go first: the
 * jailer refuses device nodes that exist, and Firecracker sockets that do.
 *
 * @throws FirecrackerError guest.jail_bad; nothing is left then.
 */
export async function layOutJail(jail: Jail, uid: number, files: readonly JailFile[]) {
  await removeJail(jail)
  try {
    await mkdir(jail.root, { recursive: true, mode: 0o700 })
    for (const file of files) await placeFile(jail, uid, file)
    await chown(jail.root, uid, uid)
  } catch (error) {
    await removeJail(jail)
    throw error
  }
}

async function placeFile({ root }: Jail, uid: number, file: JailFile): Promise<void> {
  const target = join(root, file.to)
  if (!target.startsWith(`${root}/`)) throw badFile('a file would leave the jail', file)
  await mkdir(dirname(target), { recursive: true, mode: 0o755 })
  const { isWritable = true } = file
  const status = await stat(file.from)
  if (status.isBlockDevice()) await makeNode(target, status.rdev)
  else if (file.how === 'copied') await copyFile(file.from, target)
  else await linkFile(file, target)
  const isShared = file.how === 'shared' && !status.isBlockDevice()
  if (!isShared) await chown(target, uid, uid)
  await chmod(target, isShared ? 0o444 : isWritable ? 0o600 : 0o400)
}

/** Source: Linux, gnu_dev_major(3). */
async function makeNode(target: string, device: number): Promise<void> {
  const number = BigInt(device)
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & 0xfffff000n)
  const minor = (number & 0xffn) | ((number >> 12n) & 0xffffff00n)
  await run('mknod', ['-m', '600', target, 'b', String(major), String(minor)])
}

async function linkFile(file: JailFile, target: string): Promise<void> {
  try {
    await link(file.from, target)
  } catch (error) {
    if (errorCode(error) !== 'EXDEV') throw error
    throw badFile('a disk lies on another file system than the jail', file, error)
  }
}

/** Removes what this host and the jailer made, disks excepted: they were linked. May be repeated. */
export async function removeJail({ folder }: Jail): Promise<void> {
  await rm(folder, { recursive: true, force: true })
}

function badFile(what: string, { from, to }: JailFile, cause?: unknown): FirecrackerError {
  return new FirecrackerError('guest.jail_bad', {
    what,
    values: { from, to },
    ...(cause === undefined ? {} : { cause, fix: 'put the jails beside the disks' }),
  })
}
