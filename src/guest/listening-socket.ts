/**
 * A unix socket as a bare descriptor, to hand to a process that will accept on it: Node's own servers
 * accept in this process, and remove the socket's name when they close. Through node:ffi.
 * Source: unix(7).
 */

import { getRawPointer } from 'node:ffi'
import { closeSync } from 'node:fs'
import { getSystemErrorName } from 'node:util'
import { errno, openLibc } from '#native'
import { GuestError } from './errors.ts'

const { functions: libc } = openLibc({
  socket: { return: 'int32', arguments: ['int32', 'int32', 'int32'] },
  bind: { return: 'int32', arguments: ['int32', 'pointer', 'uint32'] },
  listen: { return: 'int32', arguments: ['int32', 'int32'] },
})

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
  if (descriptor < 0) throw unable('no socket can be made', path, errno())
  if (libc.bind(descriptor, getRawPointer(address), address.byteLength) < 0) {
    const why = errno()
    closeSync(descriptor)
    throw unable('the socket cannot have its name', path, why)
  }
  if (libc.listen(descriptor, BACKLOG) < 0) {
    const why = errno()
    closeSync(descriptor)
    throw unable('the socket cannot listen', path, why)
  }
  return { descriptor, [Symbol.dispose]: () => closeSync(descriptor) }
}

function unable(what: string, path: string, why?: number): GuestError {
  return new GuestError('guest.host_unable', {
    what,
    values: { path, ...(why === undefined ? {} : { errno: getSystemErrorName(-why) }) },
  })
}
