/**
 * The C library's calls that Node has no function for, through node:ffi (Linux with glibc).
 *
 * Calls of the frame path answer like the kernel: a result of 0 or more, or the negated errno; they
 * allocate nothing. The others throw. No JavaScript runs between a call and the reading of its errno,
 * and every result is 32 bits wide, so that no allocation (and no collection) stands between them.
 *
 * Addresses stay valid because an ArrayBuffer's memory never moves and NativeMemory holds on to it;
 * a typed array's may move while it is small, so none is ever passed.
 */

import { constants } from 'node:os'
import { getSystemErrorName } from 'node:util'
import { answer, errno as lastErrno, NativeMemory, openLibc } from '#native'
import { DelayError } from './errors.ts'

// `long`s that are passed and returned here fit in 32 bits where the signature says int32.
const { lib, functions: libc } = openLibc({
  setns: { return: 'int32', arguments: ['int32', 'int32'] },
  ioctl: { return: 'int32', arguments: ['int32', 'uint64', 'pointer'] },
  readv: { return: 'int32', arguments: ['int32', 'pointer', 'int32'] },
  writev: { return: 'int32', arguments: ['int32', 'pointer', 'int32'] },
  mmap: { return: 'pointer', arguments: ['pointer', 'uint64', 'int32', 'int32', 'int32', 'int64'] },
  munmap: { return: 'int32', arguments: ['pointer', 'uint64'] },
  madvise: { return: 'int32', arguments: ['pointer', 'uint64', 'int32'] },
  usleep: { return: 'int32', arguments: ['uint32'] },
  epoll_create1: { return: 'int32', arguments: ['int32'] },
  epoll_ctl: { return: 'int32', arguments: ['int32', 'int32', 'int32', 'pointer'] },
  epoll_wait: { return: 'int32', arguments: ['int32', 'pointer', 'int32', 'int32'] },
})

/** What a failed call looks like to callers. `errno` is positive. */
export function systemCallError(
  call: string,
  errno: number,
  values: Readonly<Record<string, unknown>> = {},
): DelayError {
  return new DelayError('delay.system', {
    what: `${call} failed`,
    values: { call, errno: getSystemErrorName(-errno), ...values },
    ...(errno === constants.errno.EPERM ? { fix: 'run as root' } : {}),
  })
}

function check(call: string, result: number, values?: Record<string, unknown>): number {
  if (result >= 0) return result
  throw systemCallError(call, lastErrno(), values)
}

/** Pieces of memory for one readv or writev: `struct iovec { void *base; size_t len }` in a row. */
export class IoVectors {
  readonly #memory: NativeMemory

  constructor(count: number) {
    this.#memory = new NativeMemory(count * 16)
  }

  get address(): bigint {
    return this.#memory.address
  }

  /** `address` is below 2^53, as every user-space address of x86-64 and arm64 is. */
  set(index: number, address: number, bytes: number): void {
    const word = index * 4
    const { words } = this.#memory
    words[word] = address % 2 ** 32
    words[word + 1] = address / 2 ** 32
    words[word + 2] = bytes
  }
}

/** Fills the first `count` pieces. HOT. */
export function readv(fd: number, vectors: IoVectors, count: number): number {
  return answer(libc.readv(fd, vectors.address, count))
}

/** Writes the first `count` pieces. HOT. */
export function writev(fd: number, vectors: IoVectors, count: number): number {
  return answer(libc.writev(fd, vectors.address, count))
}

const CLONE_NEWNET = 0x40000000

/** Moves this thread, and no other, into the network namespace that `fd` is open on. */
export function setNetworkNamespace(fd: number): void {
  check('setns', libc.setns(fd, CLONE_NEWNET), { fd })
}

/** @param name of the request, for the error. */
export function ioctl(fd: number, name: string, request: number, argument: bigint): void {
  check(`ioctl ${name}`, libc.ioctl(fd, BigInt(request), argument), { fd })
}

const PROT_READ_WRITE = 3
const MAP_PRIVATE_ANONYMOUS_NORESERVE = 0x2 | 0x20 | 0x4000
const MADV_DONTNEED = 4
const MAP_FAILED = 2n ** 64n - 1n

/** Zeroed memory outside of JavaScript's: costs nothing until it is touched. */
export class Mapping {
  readonly address: number
  readonly #pointer: bigint
  readonly #bytes: bigint

  constructor(bytes: number) {
    this.#bytes = BigInt(bytes)
    const flags = MAP_PRIVATE_ANONYMOUS_NORESERVE
    this.#pointer = libc.mmap(0n, this.#bytes, PROT_READ_WRITE, flags, -1, 0n)
    if (this.#pointer === MAP_FAILED) throw systemCallError('mmap', lastErrno(), { bytes })
    this.address = Number(this.#pointer)
  }

  /** Gives the memory back to the kernel; it reads as zeros and may be used again. */
  discard(): void {
    check('madvise', libc.madvise(this.#pointer, this.#bytes, MADV_DONTNEED))
  }

  [Symbol.dispose](): void {
    check('munmap', libc.munmap(this.#pointer, this.#bytes))
  }
}

/** Sleeps whatever happens, or until a signal comes. HOT. */
export function pause(us: number): void {
  libc.usleep(us)
}

const EPOLL_CLOEXEC = 0o2000000

export const epollCreate = (): number => check('epoll_create1', libc.epoll_create1(EPOLL_CLOEXEC))

export function epollControl(fd: number, operation: number, target: number, event: bigint): void {
  check('epoll_ctl', libc.epoll_ctl(fd, operation, target, event), { operation, target })
}

type Wait = (fd: number, events: bigint, eventsMax: number, timeoutUs: number) => number

/** Waits in milliseconds, rounded up. For kernels before 5.11 and glibc before 2.35. HOT. */
export const epollWaitMs: Wait = (fd, events, eventsMax, timeoutUs) => {
  return answer(libc.epoll_wait(fd, events, eventsMax, Math.ceil(timeoutUs / 1000)))
}

/** Waits in nanoseconds where the system can. Gives the number of events or -errno. HOT. */
export const epollWait: Wait = findEpollWait()

function findEpollWait(): Wait {
  const epollPwait2 = findEpollPwait2()
  if (epollPwait2 === undefined) return epollWaitMs
  const timeout = new NativeMemory(16) // struct timespec { int64 seconds; int64 nanoseconds }
  const words = new Int32Array(timeout.bytes.buffer)
  let isMissing = false
  return (fd, events, eventsMax, timeoutUs) => {
    if (isMissing) return epollWaitMs(fd, events, eventsMax, timeoutUs)
    words[0] = timeoutUs / 1e6
    words[2] = (timeoutUs % 1e6) * 1000
    const result = epollPwait2(fd, events, eventsMax, timeout.address, 0n)
    if (result >= 0) return result
    isMissing = lastErrno() === constants.errno.ENOSYS
    return isMissing ? epollWaitMs(fd, events, eventsMax, timeoutUs) : -lastErrno()
  }
}

function findEpollPwait2() {
  try {
    return lib.getFunction('epoll_pwait2', {
      return: 'int32',
      arguments: ['int32', 'pointer', 'int32', 'pointer', 'pointer'],
    })
  } catch {
    return undefined // this C library does not have it
  }
}
