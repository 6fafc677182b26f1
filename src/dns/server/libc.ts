/**
 * The calls of a datagram socket, through node:ffi (Linux with glibc): recvmmsg and sendmmsg, which node:dgram does
 * without. Every call answers like the kernel: 0 or more, or the negated errno. No JavaScript runs between a call and
 * the reading of its errno.
 */
import { constants } from 'node:os'
import { answer, NativeMemory, openLibc } from '#native'

const { functions: libc } = openLibc({
  socket: { return: 'int32', arguments: ['int32', 'int32', 'int32'] },
  bind: { return: 'int32', arguments: ['int32', 'pointer', 'uint32'] },
  getsockname: { return: 'int32', arguments: ['int32', 'pointer', 'pointer'] },
  setsockopt: { return: 'int32', arguments: ['int32', 'int32', 'int32', 'pointer', 'uint32'] },
  recvmmsg: { return: 'int32', arguments: ['int32', 'pointer', 'uint32', 'int32', 'pointer'] },
  sendmmsg: { return: 'int32', arguments: ['int32', 'pointer', 'uint32', 'int32'] },
  close: { return: 'int32', arguments: ['int32'] },
})

export const datagramSocket = (family: number): number =>
  answer(libc.socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))
export const bind = (fd: number, { address, bytes }: NativeMemory): number =>
  answer(libc.bind(fd, address, bytes.length))
/** Fills `into` with the address that the socket has. */
export function getsockname(fd: number, into: NativeMemory): number {
  const length = new NativeMemory(4)
  length.words[0] = into.bytes.length
  return answer(libc.getsockname(fd, into.address, length.address))
}
/** The kernel grants less where net.core.rmem_max is less. */
export function setReceiveBuffer(fd: number, bytes: number): number {
  const value = new NativeMemory(4)
  value.words[0] = bytes
  return answer(libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, value.address, 4))
}
export const close = (fd: number): number => answer(libc.close(fd))

/** How many datagrams came, at most `count`. HOT. */
export const recvmmsg = (fd: number, headers: bigint, count: number): number =>
  answer(libc.recvmmsg(fd, headers, count, MSG_DONTWAIT, 0n))

/** How many of `count` datagrams went before one was refused; why, when it was the first. HOT. */
export const sendmmsg = (fd: number, headers: bigint, count: number): number =>
  answer(libc.sendmmsg(fd, headers, count, MSG_DONTWAIT))

export const AF_INET = 2
export const AF_INET6 = 10
const SOCK_DGRAM = 2
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
const SOL_SOCKET = 1
const SO_RCVBUF = 8
const MSG_DONTWAIT = 0x40

export const EAGAIN: number = -constants.errno.EAGAIN
export const ENOBUFS: number = -constants.errno.ENOBUFS
export const EINTR: number = -constants.errno.EINTR
