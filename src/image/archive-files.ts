import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { join, posix } from 'node:path'
import { errorCode } from '#base'
import { ImageError } from './errors.ts'
import { readTar } from './tar-reader.ts'

/** Files of an image that was saved, by their names in it. */
export interface ArchiveFiles {
  find(name: string): Promise<ArchiveFile | undefined>
}

export interface ArchiveFile {
  /** Bytes. */
  readonly size: number
  read(offset?: number): AsyncIterable<Uint8Array>
}

const ENTRIES_MAX = 20_000
const LINKS_MAX = 8
const PIECE_BYTES = 1 << 18
/** The only names in a layout: others could lead out of its folder. */
const LAYOUT_NAME = /^(?:oci-layout|index\.json|blobs\/[a-z0-9]{1,32}\/[0-9a-f]{1,128})$/
/** gzip, zstd, bzip2, xz: what a whole archive may be wrapped in. */
const WRAPPERS = ['1f8b', '28b52ffd', '425a68', 'fd377a585a00']

/**
 * A saved image's files, in a folder or in an uncompressed tar. A tar is read once from end to end for
 * the places of its files, and none of it is copied.
 *
 * @throws ImageError image.not_found, image.archive_bad
 */
export async function openArchive(path: string, signal?: AbortSignal): Promise<ArchiveFiles> {
  const kind = await stat(path).catch((cause) => {
    throw new ImageError('image.not_found', {
      what: 'no image archive can be read there',
      values: { path, reason: errorCode(cause) },
      cause,
    })
  })
  if (kind.isDirectory()) return { find: (name) => layoutFile(path, name) }
  if (!kind.isFile()) throw notAnArchive(path, 'it is neither a file nor a folder')
  await refuseWrapped(path)
  return await indexTar(path, signal)
}

async function layoutFile(folder: string, name: string): Promise<ArchiveFile | undefined> {
  if (!LAYOUT_NAME.test(name)) return undefined
  const path = join(folder, name)
  const found = await stat(path).catch((error) => {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return undefined
    throw error
  })
  if (!found?.isFile()) return undefined
  return { size: found.size, read: (offset = 0) => pieces(path, offset, found.size) }
}

async function indexTar(path: string, signal?: AbortSignal): Promise<ArchiveFiles> {
  const places = new Map<string, { offset: number; size: number } | { link: string }>()
  const bytes = createReadStream(path, { highWaterMark: PIECE_BYTES, signal })
  for await (const { name, type, linkName, size, contentOffset } of readTar(bytes)) {
    const key = posix.normalize(name)
    const isFile = (type === '0' || type === '7') && contentOffset !== undefined
    if (isFile) places.set(key, { offset: contentOffset, size })
    // Older tools write one layer under several names.
    if (type === '1') places.set(key, { link: posix.normalize(linkName) })
    if (type === '2') places.set(key, { link: posix.join(posix.dirname(key), linkName) })
    if (places.size > ENTRIES_MAX) throw notAnArchive(path, 'it has too many files')
  }
  return {
    find: async (name) => {
      let place = places.get(name)
      for (let links = 0; place !== undefined && 'link' in place; links += 1) {
        place = links < LINKS_MAX ? places.get(place.link) : undefined
      }
      if (place === undefined) return undefined
      const { offset: start, size } = place
      return { size, read: (offset = 0) => pieces(path, start + offset, start + size) }
    },
  }
}

/** Bytes [start, end) of a file. */
async function* pieces(path: string, start: number, end: number): AsyncGenerator<Uint8Array> {
  if (start >= end) return
  yield* createReadStream(path, { start, end: end - 1, highWaterMark: PIECE_BYTES })
}

async function refuseWrapped(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(6), 0, 6, 0)
    const head = buffer.toString('hex', 0, bytesRead)
    if (!WRAPPERS.some((magic) => head.startsWith(magic))) return
  } finally {
    await file.close()
  }
  throw notAnArchive(path, 'it is compressed as a whole', 'decompress it first')
}

const notAnArchive = (path: string, why: string, fix?: string) =>
  new ImageError('image.archive_bad', {
    what: 'not an image archive',
    values: { path, why },
    ...(fix === undefined ? {} : { fix }),
  })

/** A small file whole. @throws ImageError image.too_large */
export async function readSmall(file: ArchiveFile, bytesMax: number, name: string) {
  if (file.size > bytesMax) {
    const values = { name, size: file.size, bytesMax }
    throw new ImageError('image.too_large', { what: 'a file of the archive is too large', values })
  }
  const bytes: Uint8Array[] = []
  for await (const piece of file.read()) bytes.push(piece)
  return Buffer.concat(bytes)
}
