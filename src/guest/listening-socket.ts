/**
 * A unix socket as a bare descriptor, to hand to a process that will accept on it: Node's own servers
 * accept in this process, and remove the socket's name when they close. Through node:ffi.
 * Source: unix(7).
 */

import { dlopen, getRawPointer, toArrayBuffer } from 'node:ffi'
import { closeSync } from 'node:fs'
import { getSystemErrorName } from 'node:util'
import { GuestError } from './errors.ts'

const { functions: libc } = dlopen('libc.so.6', {
  __errno_location: { return: 'pointer', arguments: [] },
  socket: { return: 'int32', arguments: ['int32', 'int32', 'int32'] },
  bind: { return: 'int32', arguments: ['int32', 'pointer', 'uint32'] },
  listen: { return: 'int32', arguments: ['int32', 'int32'] },
})
const errnoCell = new Int32Array(toArrayBuffer(libc.__errno_location(), 4, false))

const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_CLOEXEC = 0o2000000
const BACKLOG = 16
const FAMILY_BYTES = 2
const PATH_BYTES_MAX = 107

export interface ListeningSocket extends Disposable {
  readonly descriptor: number
}

/**
 * Listens at `path`, which must be free. Disposing closes our descriptor; the name stays.
 *
 * @throws GuestError guest.host_unable, with the kernel's reason
 */
export function listenAt(path: string): ListeningSocket {
  const name = Buffer.from(path)
  if (name.length > PATH_BYTES_MAX) throw unable('the path of a socket is too long', path)
  const address = new ArrayBuffer(FAMILY_BYTES + name.length + 1)
  new DataView(address).setUint16(0, AF_UNIX, true)
  new Uint8Array(address).set(name, FAMILY_BYTES)
  const descriptor = libc.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)
  if (descriptor < 0) throw unable('no socket can be made', path, errnoCell[0])
  if (libc.bind(descriptor, getRawPointer(address), address.byteLength) < 0) {
    const errno = errnoCell[0]
    closeSync(descriptor)
    throw unable('the socket cannot have its name', path, errno)
  }
  if (libc.listen(descriptor, BACKLOG) < 0) {
    const errno = errnoCell[0]
    closeSync(descriptor)
    throw unable('the socket cannot listen', path, errno)
  }
  return { descriptor, [Symbol.dispose]: () => closeSync(descriptor) }
}

function unable(what: string, path: string, errno?: number): GuestError {
  return new GuestError('guest.host_unable', {
    what,
    values: { path, ...(errno === undefined ? {} : { errno: getSystemErrorName(-errno) }) },
  })
}
