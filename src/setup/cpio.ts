/**
 * Writes cpio archives in the "newc" format, the one that the Linux kernel unpacks as its initial
 * file system. Source: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
 *
 * Each entry is a header of 110 bytes, all ASCII: the magic 070701 and thirteen fields of eight
 * hexadecimal digits. Then the name with a zero byte, and the data, each padded with zero bytes
 * to a multiple of four counted from the archive's beginning. An entry named TRAILER!!! ends it.
 *
 *   field  ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
 */
import assert from 'node:assert/strict'

/** One entry. Paths are relative and have no leading slash; parents come before children. */
export type CpioEntry =
  | { readonly kind: 'folder'; readonly path: string; readonly mode?: number }
  | {
      readonly kind: 'file'
      readonly path: string
      readonly bytes: Uint8Array
      /** Permission bits, 0o644 without it. */
      readonly mode?: number
    }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }
  | {
      readonly kind: 'character'
      readonly path: string
      readonly major: number
      readonly minor: number
      readonly mode?: number
    }

const MAGIC = '070701'
const TRAILER = 'TRAILER!!!'
const FIELD_MAX = 0xffff_ffff

/** S_IFMT bits. Source: inode(7). */
const fileTypes = { folder: 0o040000, file: 0o100000, link: 0o120000, character: 0o020000 } as const
const defaultModes = { folder: 0o755, file: 0o644, link: 0o777, character: 0o600 } as const

/** All entries belong to root and carry time 0: equal entries give equal bytes. */
export function writeCpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Buffer[] = []
  for (const [index, entry] of entries.entries()) {
    assert(/^[^/\0][^\0]*$/.test(entry.path), 'an entry has a relative path')
    parts.push(...encodeEntry(entry.path, index + 1, fieldsOf(entry)))
  }
  parts.push(...encodeEntry(TRAILER, 0, { mode: 0, linkCount: 1, data: Buffer.alloc(0) }))
  return Buffer.concat(parts)
}

interface EntryFields {
  readonly mode: number
  readonly linkCount: number
  readonly data: Uint8Array
  readonly device?: { readonly major: number; readonly minor: number }
}

function fieldsOf(entry: CpioEntry): EntryFields {
  const permissions = 'mode' in entry ? entry.mode : undefined
  const mode = fileTypes[entry.kind] | (permissions ?? defaultModes[entry.kind])
  const empty = Buffer.alloc(0)
  switch (entry.kind) {
    case 'folder':
      return { mode, linkCount: 2, data: empty }
    case 'file':
      return { mode, linkCount: 1, data: entry.bytes }
    case 'link':
      return { mode, linkCount: 1, data: Buffer.from(entry.target) }
    case 'character':
      return { mode, linkCount: 1, data: empty, device: entry }
  }
}

function encodeEntry(path: string, inode: number, fields: EntryFields): Buffer[] {
  const { mode, linkCount, data, device } = fields
  const name = Buffer.from(`${path}\0`)
  const numbers = [
    ...[inode, mode, 0, 0, linkCount, 0, data.length, 0, 0],
    ...[device?.major ?? 0, device?.minor ?? 0, name.length, 0],
  ]
  const header = Buffer.from(MAGIC + numbers.map(hexField).join(''))
  return [padded(Buffer.concat([header, name])), padded(Buffer.from(data))]
}

function hexField(value: number): string {
  assert(Number.isInteger(value) && value >= 0 && value <= FIELD_MAX, 'a field has 32 bits')
  return value.toString(16).padStart(8, '0')
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)])
}
