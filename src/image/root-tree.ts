import { lstatSync, mkdirSync, readlinkSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import { ImageError } from './errors.ts'

const LINKS_MAX = 40
const PATH_BYTES_MAX = 4095

/**
 * The parts of an entry's name below the root; none for the root itself.
 * @throws ImageError image.archive_hostile for what reaches beyond the root.
 */
export function splitName(name: string): string[] {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.')
  const isTooLong =
    Buffer.byteLength(name) > PATH_BYTES_MAX || parts.some((part) => Buffer.byteLength(part) > 255)
  if (name.startsWith('/') || parts.includes('..') || name.includes('\0') || isTooLong) {
    throw hostile('a name reaches beyond the root', name)
  }
  return parts
}

/**
 * The real directory that `parts` name below `root`, made where it is missing. Symbolic links on the
 * way are followed as inside a chroot: `/x` is root/x, and `..` ends at the root. Nobody else may
 * write below `root` meanwhile: it lies in a folder that only this process's user enters.
 *
 * @throws ImageError image.archive_hostile, image.archive_bad
 */
export function resolveFolder(
  root: string,
  parts: readonly string[],
  { create = true } = {},
): string {
  const ahead = [...parts]
  let done: string[] = []
  for (let links = 0; ahead.length > 0; ) {
    const part = ahead.shift()
    if (part === undefined || part === '' || part === '.') continue
    if (part === '..') {
      done = done.slice(0, -1)
      continue
    }
    const path = join(root, ...done, part)
    const found = lookAt(path)
    if (found?.isSymbolicLink()) {
      links += 1
      if (links > LINKS_MAX) throw hostile('symbolic links go round in circles', parts.join('/'))
      const target = readlinkSync(path)
      if (target.startsWith('/')) done = []
      ahead.unshift(...target.split('/'))
      continue
    }
    if (found === undefined && create) mkdirSync(path, 0o755)
    else if (!found?.isDirectory()) {
      const values = { name: parts.join('/') }
      throw new ImageError('image.archive_bad', {
        what: 'an entry lies in what is no directory',
        values,
      })
    }
    done = [...done, part]
  }
  return join(root, ...done)
}

/** Undefined when nothing is there. Never follows a link. */
export const lookAt = (path: string): Stats | undefined =>
  lstatSync(path, { throwIfNoEntry: false })

export const hostile = (what: string, name: string) =>
  new ImageError('image.archive_hostile', { what, values: { name: name.slice(0, 200) } })
