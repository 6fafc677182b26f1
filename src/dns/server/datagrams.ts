import { getSystemErrorName } from 'node:util'
import { NativeMemory } from '#native'
import { DnsError } from '../errors.ts'
import type { Endpoint } from '../upstream/exchange.ts'
import {
  type AF_INET,
  type AF_INET6,
  bind,
  close,
  datagramSocket,
  EAGAIN,
  EINTR,
  ENOBUFS,
  getsockname,
  recvmmsg,
  sendmmsg,
  setReceiveBuffer,
} from './libc.ts'
import { listenFailed } from './listen-failed.ts'
import { familyOf, portOf, SOCKADDR_BYTES, socketAddress } from './socket-address.ts'

/** Datagrams that one call of the kernel brings or takes. */
const BATCH = 32
/** No question is longer; of a longer datagram the rest is not read. */
export const DATAGRAM_BYTES = 4096
const SOCKADDR_ROOM = 32
const RECEIVE_BUFFER_BYTES = 1 << 20

// struct mmsghdr { void *name; u32 namelen; iovec *iov; size_t iovlen; void *control; size_t controllen; int flags;
// u32 len } and struct iovec { void *base; size_t len }, in words of 32 bits. Source: recvmmsg(2), recvmsg(2).
const HEADER_WORDS = 16
const NAME = 0
const NAME_LENGTH = 2
const VECTOR = 4
const VECTORS = 6
const LENGTH = 14
const VECTOR_WORDS = 4

/** So many datagrams with their headers, addresses and bytes at places that stay. */
class Batch {
  readonly headers = new NativeMemory(BATCH * HEADER_WORDS * 4)
  readonly #vectors = new NativeMemory(BATCH * VECTOR_WORDS * 4)
  readonly #names = new NativeMemory(BATCH * SOCKADDR_ROOM)
  readonly #data = new NativeMemory(BATCH * DATAGRAM_BYTES)
  readonly names: readonly Buffer[]
  readonly data: readonly Buffer[]

  constructor(sockaddrBytes: number) {
    const slots = Array.from({ length: BATCH }, (_, at) => at)
    const part = ({ bytes }: NativeMemory, at: number, size: number) =>
      bytes.subarray(at * size, (at + 1) * size)
    this.names = slots.map((at) => part(this.#names, at, SOCKADDR_ROOM).subarray(0, sockaddrBytes))
    this.data = slots.map((at) => part(this.#data, at, DATAGRAM_BYTES))
    for (const at of slots) {
      const header = at * HEADER_WORDS
      const vector = at * VECTOR_WORDS
      putAddress(this.headers, header + NAME, this.#names, at * SOCKADDR_ROOM)
      this.headers.words[header + NAME_LENGTH] = sockaddrBytes
      putAddress(this.headers, header + VECTOR, this.#vectors, vector * 4)
      this.headers.words[header + VECTORS] = 1
      putAddress(this.#vectors, vector, this.#data, at * DATAGRAM_BYTES)
      this.setLength(at, DATAGRAM_BYTES)
    }
  }

  /** Bytes that came. */
  lengthOf(at: number): number {
    return this.headers.words[at * HEADER_WORDS + LENGTH] as number
  }

  /** Bytes that there is room for, or that are to go. */
  setLength(at: number, bytes: number): void {
    this.#vectors.words[at * VECTOR_WORDS + 2] = bytes
  }
}

function putAddress(into: NativeMemory, word: number, of: NativeMemory, offset: number): void {
  const address = of.address + BigInt(offset)
  into.words[word] = Number(address & 0xffffffffn)
  into.words[word + 1] = Number(address >> 32n)
}

/** A bound UDP socket that reads and sends many datagrams in one call. It neither waits nor blocks. */
export class DatagramSocket implements Disposable {
  readonly fd: number
  readonly family: typeof AF_INET | typeof AF_INET6
  readonly port: number
  readonly #in: Batch
  readonly #out: Batch
  #queued = 0
  /** Replies that the kernel did not take. */
  unsent = 0

  /** @throws DnsError dns.listen_failed */
  constructor(at: Endpoint) {
    this.family = familyOf(at)
    const address = socketAddress(at)
    this.fd = datagramSocket(this.family)
    this.#check('socket', this.fd, at)
    this.#check('bind', bind(this.fd, address), at)
    this.#check('getsockname', getsockname(this.fd, address), at)
    setReceiveBuffer(this.fd, RECEIVE_BUFFER_BYTES) // less holds shorter bursts
    this.port = portOf(address)
    const bytes = SOCKADDR_BYTES[this.family]
    this.#in = new Batch(bytes)
    this.#out = new Batch(bytes)
  }

  #check(call: string, result: number, at: Endpoint): void {
    if (result >= 0) return
    if (this.fd >= 0) close(this.fd)
    throw listenFailed(at, 'udp', new Error(`${call}: ${getSystemErrorName(result)}`))
  }

  /**
   * Gives each waiting datagram, at most BATCH, to `take`: its bytes and its sender's `sockaddr`, both good until `take`
   * returns. What `take` puts with `queue` is sent in the end.
   * @returns how many there were
   * @throws DnsError dns.receive_failed
   */
  receive(take: (packet: Buffer, sender: Buffer) => void): number {
    const count = recvmmsg(this.fd, this.#in.headers.address, BATCH)
    if (count < 0) return this.#none(count)
    for (let at = 0; at < count; at += 1) {
      const packet = (this.#in.data[at] as Buffer).subarray(0, this.#in.lengthOf(at))
      take(packet, this.#in.names[at] as Buffer)
    }
    this.flush()
    return count
  }

  #none(result: number): number {
    if (result === EAGAIN || result === EINTR) return 0
    throw new DnsError('dns.receive_failed', {
      what: 'a socket has an error instead of questions',
      values: { port: this.port, errno: getSystemErrorName(result) },
    })
  }

  /** Copies a datagram of at most DATAGRAM_BYTES to be sent with the next `flush`. */
  queue(packet: Buffer, to: Buffer): void {
    if (this.#queued === BATCH) this.flush()
    const at = this.#queued
    this.#out.setLength(at, packet.copy(this.#out.data[at] as Buffer))
    to.copy(this.#out.names[at] as Buffer)
    this.#queued += 1
  }

  /** A datagram that its way refuses says nothing about the next one; when there is no room, none has. */
  flush(): void {
    const count = this.#queued
    this.#queued = 0
    let done = 0
    while (done < count) {
      const { address } = this.#out.headers
      const from = done === 0 ? address : address + BigInt(done * HEADER_WORDS * 4)
      const sent = sendmmsg(this.fd, from, count - done)
      if (sent > 0) done += sent
      else if (sent === EAGAIN || sent === ENOBUFS) {
        this.unsent += count - done
        return
      } else if (sent !== EINTR) {
        this.unsent += 1
        done += 1
      }
    }
  }

  [Symbol.dispose](): void {
    close(this.fd)
  }
}
