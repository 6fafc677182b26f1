import { execFile } from 'node:child_process'
import { chmodSync, lstatSync, opendirSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { publish } from '#base'
import { ImageError } from './errors.ts'

const run = promisify(execFile)
const MKFS_DEADLINE_MS = 600_000
const BLOCK_BYTES = 4096
/** Journal, tables and bitmaps; then a part of the contents for directories and extents. */
const FIXED_BYTES = 32 << 20
const SHARE = 1.08
/** Files that a machine may make beyond the image's own before its clone is grown. */
const SPARE_INODES = 4096
const EXT4_BYTES_MAX = 9 * 2 ** 30

/**
 * Makes an ext4 file system with the contents of `root` in the file `path`, read-only: whole, synced,
 * or not there. Mounts nothing.
 *
 * @throws ImageError image.tool_failed, image.too_large
 */
export async function makeExt4Image(
  root: string,
  path: string,
  signal?: AbortSignal,
): Promise<void> {
  const { bytes, files } = measure(root)
  const size = Math.ceil((bytes * SHARE + files * 256 + FIXED_BYTES) / BLOCK_BYTES) * BLOCK_BYTES
  if (size > EXT4_BYTES_MAX) {
    throw new ImageError('image.too_large', {
      what: 'the root file system is too large',
      values: { size },
    })
  }
  const partial = `${path}.new`
  try {
    const file = await open(partial, 'w', 0o600)
    await file.truncate(size).finally(() => file.close())
    const options = [
      '-q',
      '-F',
      '-b',
      String(BLOCK_BYTES),
      '-m',
      '0',
      '-J',
      'size=8',
      '-N',
      String(files + SPARE_INODES),
    ]
    await makeFileSystem([...options, '-d', root, partial], signal)
    chmodSync(partial, 0o400)
    const made = await open(partial, 'r')
    await made.sync().finally(() => made.close())
    await publish(partial, path)
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}

async function makeFileSystem(options: string[], signal?: AbortSignal): Promise<void> {
  try {
    await run('mkfs.ext4', options, { timeout: MKFS_DEADLINE_MS, ...(signal ? { signal } : {}) })
  } catch (cause) {
    signal?.throwIfAborted()
    const stderr = (cause as { stderr?: string }).stderr ?? ''
    throw new ImageError('image.tool_failed', {
      what: 'mkfs.ext4 failed',
      values: { stderr },
      cause,
    })
  }
}

/** Allocated bytes and count of files; one with several names counts once. */
function measure(root: string): { bytes: number; files: number } {
  const seen = new Set<number>()
  let bytes = 0
  let files = 0
  const folders = [root]
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    using entries = opendirSync(folder)
    for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) {
      const path = join(folder, entry.name)
      const { ino, nlink, blocks } = lstatSync(path)
      if (entry.isDirectory()) folders.push(path)
      else if (nlink > 1 && seen.has(ino)) continue
      else if (nlink > 1) seen.add(ino)
      bytes += Math.max(blocks * 512, BLOCK_BYTES)
      files += 1
    }
  }
  return { bytes, files }
}
