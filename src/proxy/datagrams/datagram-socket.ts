import type { EventLoop, Watcher } from '../net/event-loop.ts'
import { EINTR, MSG_TRUNC, recvfrom, sendto } from '../net/libc.ts'
import { Memory } from '../net/memory.ts'
import { DATAGRAM_BYTES_MAX, HEAD_BYTES_MAX } from './datagram-frame.ts'
import { PACKET_HEAD_BYTES } from './ipv4-packet.ts'

/** Datagrams of one socket taken before others have their turn. */
const DATAGRAMS_PER_TURN = 64
const LEVEL_TRIGGERED_READABLE = 1
const ADDRESS_BYTES = 28

/** Headers are written before what was received, in place. */
export const MARGIN_BYTES = 64
/** More than any datagram that is handed on: what does not fit was longer. */
export const ROOM_BYTES = DATAGRAM_BYTES_MAX + HEAD_BYTES_MAX + PACKET_HEAD_BYTES
const ROOM_BYTES_MAX = 66_000

/** Every socket receives here: what is in it holds until the next datagram. */
export const datagram = new Memory(MARGIN_BYTES + ROOM_BYTES_MAX, MARGIN_BYTES)
/** The `struct sockaddr` that it came from. */
export const sender = new Memory(ADDRESS_BYTES)
const senderBytes = new Memory(8)

/** A socket for datagrams within our event loop. */
export class DatagramSocket implements Watcher {
  readonly fd: number
  readonly #loop: EventLoop
  readonly #received: (length: number) => void
  readonly #roomBytes: number
  #isOpen = true

  /**
   * @param received is told the length, which may be more than there was room for: see `datagram` and `sender`
   * @param roomBytes up to ROOM_BYTES_MAX
   */
  constructor(
    loop: EventLoop,
    fd: number,
    received: (length: number) => void,
    roomBytes = ROOM_BYTES,
  ) {
    this.#roomBytes = Math.min(roomBytes, ROOM_BYTES_MAX)
    this.#loop = loop
    this.fd = fd
    this.#received = received
    loop.add(fd, this, LEVEL_TRIGGERED_READABLE)
  }

  ready(): void {
    for (let count = 0; count < DATAGRAMS_PER_TURN && this.#isOpen; count += 1) {
      senderBytes.bytes.writeUInt32LE(ADDRESS_BYTES, 0)
      const [into, from] = [datagram.at(MARGIN_BYTES), sender.at(0)]
      const length = recvfrom(this.fd, into, this.#roomBytes, MSG_TRUNC, from, senderBytes.at(0))
      if (length === EINTR) continue
      if (length < 0) return // EAGAIN, or an ICMP error of something that was sent: it has no effect
      this.#received(length)
    }
  }

  /** @returns whether the kernel took it: datagrams are not kept for later */
  send(memory: Memory, start: number, length: number, to: { memory: Memory; bytes: number }) {
    return sendto(this.fd, memory.at(start), length, to.memory.at(0), to.bytes) >= 0
  }

  /** The descriptor stays open: it is its opener's. */
  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#loop.remove(this.fd)
  }
}

export const hadRoom = (length: number): boolean => length <= ROOM_BYTES
