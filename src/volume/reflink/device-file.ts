import { chmod, constants, copyFile, open, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode } from '#base'
import { VolumeError } from '../errors.ts'
import { fileExtents } from '../libc.ts'
import { runTool } from '../run-tool.ts'
import { full } from './pool-errors.ts'

/** Whether the folder's own file system shares blocks between files. */
export async function canShare(folder: string): Promise<boolean> {
  const [one, two] = [join(folder, 'probe'), join(folder, 'probe.clone')]
  try {
    await writeFile(one, 'x')
    await copyFile(one, two, constants.COPYFILE_FICLONE_FORCE)
    return true
  } catch (error) {
    if (
      ['ENOTSUP', 'EOPNOTSUPP', 'ENOTTY', 'EINVAL', 'EXDEV', 'ENOSYS'].includes(
        errorCode(error) ?? '',
      )
    )
      return false
    throw error
  } finally {
    await Promise.all([one, two].map((path) => rm(path, { force: true })))
  }
}

/** Shares the bytes where it can; holes stay holes either way. @throws VolumeError volume.pool_full */
export async function copySparse(from: string, to: string, signal?: AbortSignal): Promise<void> {
  try {
    await runTool('cp', ['--reflink=auto', '--sparse=auto', '--', from, to], { signal })
    await chmod(to, 0o600)
  } catch (error) {
    const said = error instanceof VolumeError ? String(error.values['said']) : ''
    if (said.includes('No space left')) throw full(to, {}, error)
    throw error
  }
}

/** Grows the file, by a hole. */
export async function resizeFile(path: string, sizeBytes: number): Promise<void> {
  const handle = await open(path, 'r+')
  try {
    await handle.truncate(sizeBytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** What the file refers to, alone or with others. */
export async function usageOf(path: string) {
  const handle = await open(path, 'r')
  try {
    let mappedBytes = 0
    let exclusiveBytes = 0
    for (const { lengthBytes, isShared } of fileExtents(handle.fd)) {
      mappedBytes += lengthBytes
      if (!isShared) exclusiveBytes += lengthBytes
    }
    return { mappedBytes, exclusiveBytes }
  } finally {
    await handle.close()
  }
}
