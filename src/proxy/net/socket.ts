import { ProxyError } from '../errors.ts'
import {
  AF_INET6,
  accept4,
  bind,
  close,
  EINPROGRESS,
  getsockname,
  getsockopt,
  IP_FREEBIND,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPV6_FREEBIND,
  IPV6_V6ONLY,
  listen,
  SO_ERROR,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  setsockopt,
  socket,
  connect as startConnect,
  TCP_NODELAY,
} from './libc.ts'
import { Memory } from './memory.ts'
import { addressOf, encodeSocketAddress, portOf, type SocketAddress } from './socket-address.ts'

const one = new Memory(8)
one.bytes.writeInt32LE(1, 0)
const option = new Memory(8)
const optionBytes = new Memory(8)
const peer = new Memory(28)
const peerBytes = new Memory(8)

export const LISTEN_BACKLOG = 4096

/** The pending error of a socket, 0 when there is none; cleared by asking. */
export function socketError(fd: number): number {
  optionBytes.bytes.writeUInt32LE(4, 0)
  const result = getsockopt(fd, SOL_SOCKET, SO_ERROR, option.at(0), optionBytes.at(0))
  return result < 0 ? result : option.bytes.readInt32LE(0)
}

export const setNoDelay = (fd: number): void =>
  void setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, one.at(0), 4)

/** Starts a connection. @returns the descriptor, or the negated errno of what failed at once. */
export function openConnection(to: SocketAddress): number {
  const fd = socket(to.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
  if (fd < 0) return fd
  setNoDelay(fd)
  const result = startConnect(fd, to.memory.at(0), to.bytes)
  if (result === 0 || result === EINPROGRESS) return fd
  close(fd)
  return result
}

/**
 * A listening socket that other processes may share (SO_REUSEPORT).
 * @throws ProxyError proxy.listen_failed, proxy.address_bad
 */
export function openListener(address: string, port: number): number {
  return openBound(address, port, SOCK_STREAM, (fd) => listen(fd, LISTEN_BACKLOG))
}

/**
 * A UDP socket; the process that follows this one opens another for the same address (SO_REUSEPORT).
 * @throws ProxyError proxy.listen_failed, proxy.address_bad
 */
export function openDatagramSocket(address: string, port: number): number {
  return openBound(address, port, SOCK_DGRAM)
}

function openBound(
  address: string,
  port: number,
  type: number,
  begin?: (fd: number) => number,
): number {
  const at = encodeSocketAddress(address, port)
  const fd = socket(at.family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
  const step = (name: string, result: number) => {
    if (result >= 0) return
    if (fd >= 0) close(fd)
    throw new ProxyError('proxy.listen_failed', {
      what: 'cannot listen',
      values: { address, port, call: name, errno: -result },
      fix: `see who holds the port: ss -l${type === SOCK_STREAM ? 't' : 'u'}np`,
    })
  }
  step('socket', fd)
  step('reuseaddr', setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, one.at(0), 4))
  step('reuseport', setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, one.at(0), 4))
  if (at.family === AF_INET6)
    step('v6only', setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, one.at(0), 4))
  // An anycast address may come to this host later, and go for a while.
  if (at.family === AF_INET6)
    step('freebind', setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, one.at(0), 4))
  else step('freebind', setsockopt(fd, IPPROTO_IP, IP_FREEBIND, one.at(0), 4))
  step('bind', bind(fd, at.memory.at(0), at.bytes))
  if (begin !== undefined) step('listen', begin(fd))
  return fd
}

/** @returns a connection's descriptor, or the negated errno. `acceptedFrom` then tells whose it is. */
export function acceptConnection(listener: number): number {
  peerBytes.bytes.writeUInt32LE(28, 0)
  return accept4(listener, peer.at(0), peerBytes.at(0), SOCK_NONBLOCK | SOCK_CLOEXEC)
}

/** The peer of the last accepted connection. */
export const acceptedFrom = (): { address: string; port: number } => ({
  address: addressOf(peer),
  port: portOf(peer),
})

/** The address and port that a socket is bound to, which for a connection is what its client dialled. */
export function localAddress(fd: number): { address: string; port: number } {
  peerBytes.bytes.writeUInt32LE(28, 0)
  const result = getsockname(fd, peer.at(0), peerBytes.at(0))
  if (result < 0) return { address: '', port: 0 } // it broke already: its first read says so
  return { address: addressOf(peer), port: portOf(peer) }
}
