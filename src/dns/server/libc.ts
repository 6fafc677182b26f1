/**
 * The calls of a datagram socket, through node:ffi (Linux with glibc): recvmmsg and sendmmsg, which node:dgram does
 * without. Every call answers like the kernel: 0 or more, or the negated errno. No JavaScript runs between a call and
 * the reading of its errno.
 */
import { dlopen, getRawPointer, toArrayBuffer } from 'node:ffi'
import { constants } from 'node:os'

const { functions: libc } = dlopen('libc.so.6', {
  __errno_location: { return: 'pointer', arguments: [] },
  socket: { return: 'int32', arguments: ['int32', 'int32', 'int32'] },
  bind: { return: 'int32', arguments: ['int32', 'pointer', 'uint32'] },
  getsockname: { return: 'int32', arguments: ['int32', 'pointer', 'pointer'] },
  setsockopt: { return: 'int32', arguments: ['int32', 'int32', 'int32', 'pointer', 'uint32'] },
  recvmmsg: { return: 'int32', arguments: ['int32', 'pointer', 'uint32', 'int32', 'pointer'] },
  sendmmsg: { return: 'int32', arguments: ['int32', 'pointer', 'uint32', 'int32'] },
  close: { return: 'int32', arguments: ['int32'] },
})

/** This thread's errno, which the C library keeps at one place. */
const errnoCell = new Int32Array(toArrayBuffer(libc.__errno_location(), 4, false))
const answer = (result: number): number => (result >= 0 ? result : -(errnoCell[0] as number))

/** Zeroed bytes that JavaScript and the kernel both know: the memory of an ArrayBuffer never moves. */
export class NativeMemory {
  readonly bytes: Buffer
  readonly words: Uint32Array
  readonly address: bigint

  /** @param size a multiple of 4 */
  constructor(size: number) {
    const buffer = new ArrayBuffer(size)
    this.bytes = Buffer.from(buffer)
    this.words = new Uint32Array(buffer)
    this.address = getRawPointer(buffer)
  }
}

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
export function recvmmsg(fd: number, headers: bigint, count: number): number {
  const result = libc.recvmmsg(fd, headers, count, MSG_DONTWAIT, 0n)
  return result >= 0 ? result : -(errnoCell[0] as number)
}

/** How many of `count` datagrams went before one was refused; why, when it was the first. HOT. */
export function sendmmsg(fd: number, headers: bigint, count: number): number {
  const result = libc.sendmmsg(fd, headers, count, MSG_DONTWAIT)
  return result >= 0 ? result : -(errnoCell[0] as number)
}

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
