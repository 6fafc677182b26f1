/**
 * The socket calls, through node:ffi (Linux with glibc). docs/adr says why not node:net: one call here
 * costs what the kernel does and little more, and reads land in memory that is used again at once.
 *
 * Every call answers like the kernel: 0 or more, or the negated errno. No JavaScript runs between a call
 * and the reading of its errno. Memory is passed by address: see memory.ts.
 */
import { constants } from 'node:os'
import { answer, openLibc } from '#native'

const { functions: libc } = openLibc({
  socket: { return: 'int32', arguments: ['int32', 'int32', 'int32'] },
  bind: { return: 'int32', arguments: ['int32', 'pointer', 'uint32'] },
  listen: { return: 'int32', arguments: ['int32', 'int32'] },
  accept4: { return: 'int32', arguments: ['int32', 'pointer', 'pointer', 'int32'] },
  connect: { return: 'int32', arguments: ['int32', 'pointer', 'uint32'] },
  getsockname: { return: 'int32', arguments: ['int32', 'pointer', 'pointer'] },
  setsockopt: { return: 'int32', arguments: ['int32', 'int32', 'int32', 'pointer', 'uint32'] },
  getsockopt: { return: 'int32', arguments: ['int32', 'int32', 'int32', 'pointer', 'pointer'] },
  // ssize_t and size_t fit in 32 bits: no buffer here is larger.
  recv: { return: 'int32', arguments: ['int32', 'pointer', 'uint32', 'int32'] },
  recvfrom: {
    return: 'int32',
    arguments: ['int32', 'pointer', 'uint32', 'int32', 'pointer', 'pointer'],
  },
  sendto: {
    return: 'int32',
    arguments: ['int32', 'pointer', 'uint32', 'int32', 'pointer', 'uint32'],
  },
  sendmsg: { return: 'int32', arguments: ['int32', 'pointer', 'int32'] },
  recvmsg: { return: 'int32', arguments: ['int32', 'pointer', 'int32'] },
  if_indextoname: { return: 'pointer', arguments: ['uint32', 'pointer'] },
  read: { return: 'int32', arguments: ['int32', 'pointer', 'int32'] },
  write: { return: 'int32', arguments: ['int32', 'pointer', 'int32'] },
  shutdown: { return: 'int32', arguments: ['int32', 'int32'] },
  close: { return: 'int32', arguments: ['int32'] },
  epoll_create1: { return: 'int32', arguments: ['int32'] },
  epoll_ctl: { return: 'int32', arguments: ['int32', 'int32', 'int32', 'pointer'] },
  epoll_wait: { return: 'int32', arguments: ['int32', 'pointer', 'int32', 'int32'] },
})

export const socket = (family: number, type: number, protocol: number): number =>
  answer(libc.socket(family, type, protocol))
export const bind = (fd: number, address: bigint, bytes: number): number =>
  answer(libc.bind(fd, address, bytes))
export const listen = (fd: number, backlog: number): number => answer(libc.listen(fd, backlog))
export const accept4 = (fd: number, address: bigint, bytes: bigint, flags: number): number =>
  answer(libc.accept4(fd, address, bytes, flags))
export const connect = (fd: number, address: bigint, bytes: number): number =>
  answer(libc.connect(fd, address, bytes))
export const getsockname = (fd: number, address: bigint, bytes: bigint): number =>
  answer(libc.getsockname(fd, address, bytes))
export const setsockopt = (fd: number, level: number, name: number, value: bigint, bytes: number) =>
  answer(libc.setsockopt(fd, level, name, value, bytes))
export const getsockopt = (fd: number, level: number, name: number, value: bigint, bytes: bigint) =>
  answer(libc.getsockopt(fd, level, name, value, bytes))
export const recv = (fd: number, address: bigint, bytes: number, flags: number): number =>
  answer(libc.recv(fd, address, bytes, flags))

/** A datagram, and from where: `from` has room for `fromBytes`, which is written anew. */
export const recvfrom = (
  fd: number,
  address: bigint,
  bytes: number,
  flags: number,
  from: bigint,
  fromBytes: bigint,
): number => answer(libc.recvfrom(fd, address, bytes, flags, from, fromBytes))
export const sendto = (fd: number, address: bigint, bytes: number, to: bigint, toBytes: number) =>
  answer(libc.sendto(fd, address, bytes, 0, to, toBytes))
export const sendmsg = (fd: number, message: bigint, flags: number): number =>
  answer(libc.sendmsg(fd, message, flags))
export const recvmsg = (fd: number, message: bigint, flags: number): number =>
  answer(libc.recvmsg(fd, message, flags))
/** Writes the name of a network interface, up to 16 bytes with its end. @returns whether there is one */
export const nameInterface = (index: number, name: bigint): boolean =>
  libc.if_indextoname(index, name) !== 0n

/** HOT. Three arguments: node:ffi's quick way ends there, so neither recv nor send. */
export const read = (fd: number, address: bigint, bytes: number): number =>
  answer(libc.read(fd, address, bytes))

/** HOT. Node ignores SIGPIPE, so a broken connection answers EPIPE. */
export const write = (fd: number, address: bigint, bytes: number): number =>
  answer(libc.write(fd, address, bytes))
export const shutdown = (fd: number, how: number): number => answer(libc.shutdown(fd, how))
export const close = (fd: number): number => answer(libc.close(fd))
export const epollCreate = (): number => answer(libc.epoll_create1(EPOLL_CLOEXEC))
export const epollControl = (fd: number, operation: number, target: number, event: bigint) =>
  answer(libc.epoll_ctl(fd, operation, target, event))
export const epollWait = (fd: number, events: bigint, eventsMax: number, timeoutMs: number) =>
  answer(libc.epoll_wait(fd, events, eventsMax, timeoutMs))

const EPOLL_CLOEXEC = 0o2000000
export const MSG_PEEK = 2
/** The result is the length of the datagram, though it did not fit. */
export const MSG_TRUNC = 0x20
export const MSG_NOSIGNAL = 0x4000
export const MSG_CMSG_CLOEXEC = 0x40000000
export const AF_UNIX = 1
export const AF_INET = 2
export const AF_INET6 = 10
export const AF_PACKET = 17
export const SOCK_STREAM = 1
export const SOCK_DGRAM = 2
export const SOCK_RAW = 3
export const SOCK_SEQPACKET = 5
export const SOCK_NONBLOCK = 0o4000
export const SOCK_CLOEXEC = 0o2000000
export const SOL_SOCKET = 1
export const SCM_RIGHTS = 1
export const SO_REUSEADDR = 2
export const SO_ERROR = 4
export const SO_LINGER = 13
export const SO_REUSEPORT = 15
export const SO_ATTACH_FILTER = 26
export const SOL_PACKET = 263
export const PACKET_VNET_HDR = 15
export const IPPROTO_TCP = 6
export const TCP_NODELAY = 1
export const IPPROTO_IP = 0
export const IP_FREEBIND = 15
/** To a raw socket of it, packets are given with their IP headers. */
export const IPPROTO_RAW = 255
export const IPPROTO_IPV6 = 41
export const IPV6_FREEBIND = 78
export const IPV6_V6ONLY = 26
export const SHUT_WR = 1

const { errno } = constants
export const EAGAIN: number = -errno.EAGAIN
export const ECONNRESET: number = -errno.ECONNRESET
export const EINTR: number = -errno.EINTR
export const EINPROGRESS: number = -errno.EINPROGRESS
