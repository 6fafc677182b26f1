/**
 * Messages between processes of this host that carry descriptors: AF_UNIX, SOCK_SEQPACKET, SCM_RIGHTS. Each message
 * arrives whole or not at all, in order. Source: unix(7), cmsg(3).
 */
import { chmodSync, renameSync, rmSync } from 'node:fs'
import { ProxyError } from '../errors.ts'
import {
  AF_UNIX,
  accept4,
  bind,
  close,
  connect,
  listen,
  MSG_CMSG_CLOEXEC,
  MSG_NOSIGNAL,
  recvmsg,
  SCM_RIGHTS,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_SEQPACKET,
  SOL_SOCKET,
  sendmsg,
  socket,
} from './libc.ts'
import { Memory } from './memory.ts'

/** The kernel takes 253 with one message (SCM_MAX_FD). */
export const DESCRIPTORS_MAX = 200
export const MESSAGE_BYTES_MAX = 64 << 10

const TYPE = SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC
const BACKLOG = 4
/** `sun_path` with the zero at its end. */
const PATH_BYTES_MAX = 107
const CONTROL_HEAD_BYTES = 16 // struct cmsghdr: size_t length, int level, int type

const body = new Memory(MESSAGE_BYTES_MAX)
const control = new Memory(CONTROL_HEAD_BYTES + DESCRIPTORS_MAX * 4)
const vector = new Memory(16) // struct iovec
vector.bytes.writeBigUInt64LE(body.at(0), 0)
const message = new Memory(56) // struct msghdr
message.bytes.writeBigUInt64LE(vector.at(0), 16)
message.bytes.writeBigUInt64LE(1n, 24)

/**
 * Listens at a path that its owner alone may open, in place of whoever listened there.
 * @throws ProxyError proxy.listen_failed
 */
export function listenLocally(path: string): number {
  const fd = socket(AF_UNIX, TYPE, 0)
  // Under a name of its own first: at no moment is there nobody at the path.
  const draft = `${path}.${process.pid}`
  rmSync(draft, { force: true })
  const at = encodePath(draft)
  const result = fd < 0 ? fd : bind(fd, at.memory.at(0), at.bytes) || listen(fd, BACKLOG)
  if (result < 0) {
    if (fd >= 0) close(fd)
    throw new ProxyError('proxy.listen_failed', {
      what: 'cannot listen on a socket file',
      values: { path: draft, errno: -result },
    })
  }
  chmodSync(draft, 0o600)
  renameSync(draft, path)
  return fd
}

/** @returns a descriptor; the negated errno when nobody is there */
export function connectLocally(path: string): number {
  const at = encodePath(path)
  const fd = socket(AF_UNIX, TYPE, 0)
  if (fd < 0) return fd
  const result = connect(fd, at.memory.at(0), at.bytes)
  if (result === 0) return fd
  close(fd)
  return result
}

/** @returns a connection's descriptor, or the negated errno */
export const acceptLocally = (listener: number): number =>
  accept4(listener, 0n, 0n, SOCK_NONBLOCK | SOCK_CLOEXEC)

/** @returns the bytes that went, which are all; the negated errno, EAGAIN when the peer is slow */
export function sendMessage(fd: number, bytes: Buffer, descriptors: readonly number[]): number {
  if (bytes.length > MESSAGE_BYTES_MAX || descriptors.length > DESCRIPTORS_MAX)
    throw new RangeError('a message that is too large')
  bytes.copy(body.bytes)
  vector.bytes.writeBigUInt64LE(BigInt(bytes.length), 8)
  const controlBytes = descriptors.length > 0 ? CONTROL_HEAD_BYTES + descriptors.length * 4 : 0
  control.bytes.writeBigUInt64LE(BigInt(controlBytes), 0)
  control.bytes.writeInt32LE(SOL_SOCKET, 8)
  control.bytes.writeInt32LE(SCM_RIGHTS, 12)
  for (const [index, one] of descriptors.entries())
    control.bytes.writeInt32LE(one, CONTROL_HEAD_BYTES + index * 4)
  return sendmsg(fd, headOf(controlBytes), MSG_NOSIGNAL)
}

export interface LocalMessage {
  readonly bytes: Buffer
  /** They are the receiver's from now on. */
  readonly descriptors: readonly number[]
}

/** @returns the negated errno where there is none now; 0: the peer has ended */
export function receiveMessage(fd: number): LocalMessage | number {
  vector.bytes.writeBigUInt64LE(BigInt(body.size), 8)
  control.bytes.fill(0, 0, CONTROL_HEAD_BYTES)
  const length = recvmsg(fd, headOf(control.size), MSG_CMSG_CLOEXEC)
  if (length <= 0) return length
  const controlBytes = Number(message.bytes.readBigUInt64LE(40))
  const descriptors: number[] = []
  const hasRights = controlBytes > 0 && control.bytes.readInt32LE(12) === SCM_RIGHTS
  const end = hasRights ? Number(control.bytes.readBigUInt64LE(0)) : 0
  for (let at = CONTROL_HEAD_BYTES; at + 4 <= end; at += 4)
    descriptors.push(control.bytes.readInt32LE(at))
  return { bytes: Buffer.from(body.bytes.subarray(0, length)), descriptors }
}

function headOf(controlBytes: number): bigint {
  message.bytes.writeBigUInt64LE(controlBytes > 0 ? control.at(0) : 0n, 32)
  message.bytes.writeBigUInt64LE(BigInt(controlBytes), 40)
  message.bytes.writeInt32LE(0, 48)
  return message.at(0)
}

/** `struct sockaddr_un`. @throws ProxyError proxy.address_bad */
function encodePath(path: string): { memory: Memory; bytes: number } {
  const text = Buffer.from(path)
  if (text.length > PATH_BYTES_MAX) {
    throw new ProxyError('proxy.address_bad', {
      what: 'the path of a socket file is too long',
      values: { path, bytesMax: PATH_BYTES_MAX },
      fix: 'give the admin socket a shorter path',
    })
  }
  const memory = new Memory(2 + PATH_BYTES_MAX + 1)
  memory.bytes.writeUInt16LE(AF_UNIX, 0)
  text.copy(memory.bytes, 2)
  return { memory, bytes: 2 + text.length + 1 }
}
