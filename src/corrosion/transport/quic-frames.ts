import { FrameReader } from '../wire/frame.ts'
import { UNI_STREAMS_MAX } from './quic-config.ts'
import type { QuicStreamOwner } from './quic-stream-owner.ts'
import { abandonStream, readStream } from './quiche-stream.ts'

/** Of one peer: frames of all its streams that are not whole yet. */
export const PARTIAL_BYTES_MAX = 32 * 1024 * 1024

/** The frames that a peer sends on its uni streams. One is usual, some are allowed. */
export class InboundFrames {
  readonly #link: QuicStreamOwner
  readonly #readers = new Map<number, FrameReader>()

  constructor(link: QuicStreamOwner) {
    this.#link = link
  }

  /** Hands on all frames that are there. @returns false: the peer holds more memory than it may. */
  read(id: number): boolean {
    let reader = this.#readers.get(id)
    if (reader === undefined) {
      reader = new FrameReader()
      this.#readers.set(id, reader)
    }
    const { owner, address } = this.#link
    for (let chunk = this.#chunkOf(id); chunk !== undefined; chunk = this.#chunkOf(id)) {
      reader.push(chunk)
      for (let frame = this.#frameOf(id, reader); frame; frame = this.#frameOf(id, reader)) {
        owner.counters.framesReceived += 1
        owner.frameReceived(frame, address)
      }
    }
    return reader.heldBytes <= PARTIAL_BYTES_MAX / UNI_STREAMS_MAX || this.#isWithinBounds()
  }

  clear(): void {
    this.#readers.clear()
  }

  /** undefined: nothing (more) now. */
  #chunkOf(id: number): Buffer | undefined {
    if (!this.#readers.has(id) || !this.#link.isOpen) return undefined
    try {
      const read = readStream(this.#link.connection, id)
      if (read?.isEnd) this.#readers.delete(id)
      return read?.chunk
    } catch {
      this.#readers.delete(id) // the peer reset it: what it began is lost, as on any loss
      return undefined
    }
  }

  /** undefined: no whole frame, or none ever: then the stream is given up. */
  #frameOf(id: number, reader: FrameReader): Uint8Array | undefined {
    try {
      return reader.next()
    } catch {
      const { owner, connection } = this.#link
      this.#readers.delete(id)
      owner.counters.streamsRefused += 1
      abandonStream(owner.quiche, connection, id)
      return undefined
    }
  }

  #isWithinBounds(): boolean {
    let heldBytes = 0
    for (const reader of this.#readers.values()) heldBytes += reader.heldBytes
    return heldBytes <= PARTIAL_BYTES_MAX
  }
}
