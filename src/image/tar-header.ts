import { ImageError } from './errors.ts'

/**
 * One 512-byte header. Sources: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual.
 *   0 name 100 | 100 mode 8 | 108 uid 8 | 116 gid 8 | 124 size 12 | 136 mtime 12 | 148 checksum 8
 *   156 type 1 | 157 link 100 | 257 magic 8 | 329 major 8 | 337 minor 8 | 345 prefix 155
 */
export interface TarHeader {
  name: string
  linkName: string
  readonly type: string
  readonly mode: number
  uid: number
  gid: number
  size: number
  mtimeSeconds: number
  readonly major: number
  readonly minor: number
}

export const BLOCK_BYTES = 512

/** @throws ImageError image.archive_bad; undefined for the block of zeros that ends an archive. */
export function decodeTarHeader(block: Buffer): TarHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined
  let sum = 0
  for (let at = 0; at < BLOCK_BYTES; at += 1) sum += at >= 148 && at < 156 ? 32 : (block[at] ?? 0)
  if (sum !== readNumber(block, 148, 8)) throw badArchive('a header has a wrong checksum')
  const isPosix = block.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = isPosix ? readText(block, 345, 155) : ''
  const name = readText(block, 0, 100)
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    linkName: readText(block, 157, 100),
    type: String.fromCharCode(block[156] || 0x30),
    mode: readNumber(block, 100, 8) & 0o7777,
    uid: readNumber(block, 108, 8),
    gid: readNumber(block, 116, 8),
    size: readNumber(block, 124, 12),
    mtimeSeconds: readNumber(block, 136, 12),
    major: readNumber(block, 329, 8),
    minor: readNumber(block, 337, 8),
  }
}

function readText(block: Buffer, start: number, bytes: number): string {
  const field = block.subarray(start, start + bytes)
  const end = field.indexOf(0)
  return field.toString('utf8', 0, end < 0 ? bytes : end)
}

/** Octal digits, or, with the first bit set, a big-endian number (GNU, for what octal cannot hold). */
export function readNumber(block: Buffer, start: number, bytes: number): number {
  const first = block[start] ?? 0
  if (first === 0xff) return -1 // GNU's negative numbers: dates before 1970
  if (first === 0x80) {
    let value = 0
    for (let at = start + 1; at < start + bytes; at += 1) value = value * 256 + (block[at] ?? 0)
    if (!Number.isSafeInteger(value)) throw badArchive('a number is too large')
    return value
  }
  const text = block
    .toString('latin1', start, start + bytes)
    .replaceAll(/[\0 ]+/g, ' ')
    .trim()
  if (!/^[0-7]*$/.test(text)) throw badArchive('a number is not octal')
  return text === '' ? 0 : Number.parseInt(text, 8)
}

export const badArchive = (why: string) =>
  new ImageError('image.archive_bad', { what: 'the archive is malformed', values: { why } })
