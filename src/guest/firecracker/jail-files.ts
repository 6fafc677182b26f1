import { chmod, chown, copyFile, link, mkdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { errorCode } from '#base'
import { FirecrackerError } from './errors.ts'
import type { Jail } from './jail.ts'

export interface JailFile {
  readonly from: string
  /** Absolute, as the jailed process names it. */
  readonly to: string
  /**
   * `linked`: the file itself, its owner becomes the guest's. `copied`: for what other guests use too,
   * since a change of owner or content must not reach them.
   */
  readonly how: 'linked' | 'copied'
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
  if (file.how === 'linked') await linkFile(file, target)
  else await copyFile(file.from, target)
  await chown(target, uid, uid)
  await chmod(target, file.isWritable === false ? 0o400 : 0o600)
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

/** A socket file outlives its process in every case, and no start or load takes one that exists. */
export async function removeSockets({ apiSocket, vsock }: Jail): Promise<void> {
  for (const path of [apiSocket, vsock]) await rm(path, { force: true })
}

function badFile(what: string, { from, to }: JailFile, cause?: unknown): FirecrackerError {
  return new FirecrackerError('guest.jail_bad', {
    what,
    values: { from, to },
    ...(cause === undefined ? {} : { cause, fix: 'put the jails beside the disks' }),
  })
}
