import { rmSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ImageError } from './errors.ts'

/**
 * Removes the longest unused files of `folder`, by their mtime, until the rest fits. Holes of sparse
 * files count nothing.
 *
 * @param isKept asked just before a file would go.
 * @returns bytes freed.
 * @throws ImageError image.cache_full when what is kept does not fit.
 */
export async function evictOldest(
  folder: string,
  bytesMax: number,
  isKept: (name: string) => boolean,
): Promise<number> {
  const files = await filesByUse(folder)
  let total = files.reduce((sum, { bytes }) => sum + bytes, 0)
  let freed = 0
  for (const { name, bytes } of files) {
    if (total <= bytesMax) break
    if (isKept(name)) continue
    rmSync(join(folder, name), { force: true }) // at once: nobody can begin to hold it in between
    freed += bytes
    total -= bytes
  }
  if (total <= bytesMax) return freed
  throw new ImageError('image.cache_full', {
    what: 'the image cache is full of images in use',
    values: { bytes: total, bytesMax },
    fix: 'give it more room, or destroy machines',
  })
}

/** The longest unused first. */
export async function filesByUse(folder: string) {
  const names = await readdir(folder)
  const files = await Promise.all(
    names.map(async (name) => {
      const { size, blocks, mtimeMs } = await stat(join(folder, name))
      return { name, bytes: Math.min(size, blocks * 512), mtimeMs }
    }),
  )
  return files.sort((a, b) => a.mtimeMs - b.mtimeMs)
}
