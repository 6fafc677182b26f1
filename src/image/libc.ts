/**
 * The C library's calls that Node has no function for, through node:ffi (Linux with glibc 2.33 or
 * later). No JavaScript runs between a call and the reading of its errno. Arguments lie in
 * ArrayBuffers, whose memory never moves; a small typed array's may.
 */
import { getRawPointer } from 'node:ffi'
import { getSystemErrorName } from 'node:util'
import { errno, openLibc } from '#native'
import { ImageError } from './errors.ts'

const { functions: libc } = openLibc({
  mknod: { return: 'int32', arguments: ['pointer', 'uint32', 'uint64'] },
  lsetxattr: { return: 'int32', arguments: ['pointer', 'pointer', 'pointer', 'uint64', 'int32'] },
})

function nativeBytes(bytes: Uint8Array): ArrayBuffer {
  const memory = new ArrayBuffer(bytes.length + 1) // one more: text ends with a zero
  new Uint8Array(memory).set(bytes)
  return memory
}

const check = (call: string, result: number, path: string) => {
  if (result >= 0) return
  const why = getSystemErrorName(-errno())
  throw new ImageError('image.system', { what: `${call} failed`, values: { path, errno: why } })
}

/** @param mode with the file's type in it. @throws ImageError image.system */
export function makeNode(
  path: string,
  mode: number,
  device: { major: number; minor: number },
): void {
  const { major, minor } = device
  const number =
    (BigInt(major & ~0xfff) << 32n) |
    (BigInt(major & 0xfff) << 8n) |
    (BigInt(minor & ~0xff) << 12n) |
    BigInt(minor & 0xff)
  const memory = nativeBytes(Buffer.from(path))
  check('mknod', libc.mknod(getRawPointer(memory), mode, number), path)
}

/** Of the file itself when it is a symbolic link. @throws ImageError image.system */
export function setXattr(path: string, name: string, value: Uint8Array): void {
  const [where, key, bytes] = [
    nativeBytes(Buffer.from(path)),
    nativeBytes(Buffer.from(name)),
    nativeBytes(value),
  ]
  const result = libc.lsetxattr(
    getRawPointer(where),
    getRawPointer(key),
    getRawPointer(bytes),
    BigInt(value.length),
    0,
  )
  check('lsetxattr', result, path)
}
