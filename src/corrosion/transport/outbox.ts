import { BoundedQueue } from '#base'
import {
  OUTBOX_DATAGRAMS_MAX,
  OUTBOX_FRAME_BYTES_MAX,
  OUTBOX_FRAMES_MAX,
  type TransportCounters,
} from './transport.ts'

/** What waits to be sent to one peer. Full is an answer: what does not fit is dropped and counted. */
export class Outbox {
  readonly #frames = new BoundedQueue<Uint8Array>(OUTBOX_FRAMES_MAX)
  readonly #datagrams = new BoundedQueue<Uint8Array>(OUTBOX_DATAGRAMS_MAX)
  readonly #counters: TransportCounters
  #frameBytes = 0

  constructor(counters: TransportCounters) {
    this.#counters = counters
  }

  get isEmpty(): boolean {
    return this.#frames.size === 0 && this.#datagrams.size === 0
  }

  offerFrame(frame: Uint8Array): boolean {
    const fits = this.#frameBytes + frame.length <= OUTBOX_FRAME_BYTES_MAX
    if (fits && this.#frames.offer(frame)) {
      this.#frameBytes += frame.length
      return true
    }
    this.#counters.framesDropped += 1
    return false
  }

  offerDatagram(bytes: Uint8Array): boolean {
    if (this.#datagrams.offer(bytes)) return true
    this.#counters.datagramsDropped += 1
    return false
  }

  pollFrame(): Uint8Array | undefined {
    const frame = this.#frames.poll()
    if (frame !== undefined) this.#frameBytes -= frame.length
    return frame
  }

  pollDatagram(): Uint8Array | undefined {
    return this.#datagrams.poll()
  }

  /** Drops and counts all of it: the peer is away, and what it missed comes by sync. */
  clear(): void {
    while (this.pollFrame() !== undefined) this.#counters.framesDropped += 1
    while (this.pollDatagram() !== undefined) this.#counters.datagramsDropped += 1
  }
}
