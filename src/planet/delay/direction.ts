import { DelayQueue, type DelayQueueOptions } from './delay-queue.ts'
import { IoVectors, Mapping, readv, writev } from './libc.ts'
import { FRAME_BYTES_MAX, isPassing, type Tap } from './tap.ts'

export interface DirectionStats {
  /** Frames read at one end. */
  receivedFrames: number
  receivedBytes: number
  /** Frames written at the other. A segment of 64 KiB counts as one. */
  sentFrames: number
  sentBytes: number
  heldFrames: number
  heldBytes: number
  /** The queue was full. */
  droppedFull: number
  /** The receiving interface was down, or out of buffers. */
  droppedAtWrite: number
}

/** Frames taken from one TAP before others have their turn. */
const READ_BATCH_FRAMES = 64
const DISCARD_BYTES_MIN = 1 << 20

// Frames that are read only to be dropped; one for all, nobody reads it.
const scrap = new Mapping(FRAME_BYTES_MAX)
const vectors = new IoVectors(2) // of the one call that is under way

/**
 * Frames on their way from one TAP to another. Their bytes go from the kernel into a ring outside
 * of JavaScript's memory and back, and no JavaScript ever touches them.
 *
 * HOT: `receive` and `release` run for every frame. No allocation, closure or await in them.
 */
export class Direction {
  readonly queue: DelayQueue
  readonly #source: Tap
  readonly #target: Tap
  readonly #ring: Mapping
  #receivedFrames = 0
  #receivedBytes = 0
  #sentFrames = 0
  #sentBytes = 0
  #droppedAtWrite = 0

  constructor(source: Tap, target: Tap, options: DelayQueueOptions) {
    this.queue = new DelayQueue(options)
    this.#source = source
    this.#target = target
    this.#ring = new Mapping(options.bytesMax)
  }

  /** Reads what the source has ready. False: the device is gone. */
  receive(nowUs: number): boolean {
    for (let frame = 0; frame < READ_BATCH_FRAMES; frame += 1) {
      const hasRoom = this.queue.hasRoom(FRAME_BYTES_MAX)
      const count = hasRoom
        ? this.#point(this.queue.tailOffset, FRAME_BYTES_MAX)
        : pointAt(scrap.address, FRAME_BYTES_MAX)
      const result = readv(this.#source.fd, vectors, count)
      if (result <= 0) return result < 0 && isPassing(result)
      this.#receivedFrames += 1
      this.#receivedBytes += result
      if (hasRoom) this.queue.offer(result, nowUs)
      else this.queue.refuse()
    }
    return true
  }

  /** Writes every frame that is due. */
  release(nowUs: number): void {
    while (this.queue.isDue(nowUs)) {
      const frameBytes = this.queue.headBytes
      const result = writev(
        this.#target.fd,
        vectors,
        this.#point(this.queue.headOffset, frameBytes),
      )
      this.queue.shift()
      if (result >= 0) {
        this.#sentFrames += 1
        this.#sentBytes += frameBytes
      } else {
        this.#droppedAtWrite += 1
      }
    }
  }

  /** Gives the ring's memory back after a burst has passed. */
  trim(): void {
    if (this.queue.frameCount > 0 || this.queue.reachedBytes < DISCARD_BYTES_MIN) return
    this.#ring.discard()
    this.queue.forgetReached()
  }

  get stats(): DirectionStats {
    return {
      receivedFrames: this.#receivedFrames,
      receivedBytes: this.#receivedBytes,
      sentFrames: this.#sentFrames,
      sentBytes: this.#sentBytes,
      heldFrames: this.queue.frameCount,
      heldBytes: this.queue.heldBytes,
      droppedFull: this.queue.droppedFrames,
      droppedAtWrite: this.#droppedAtWrite,
    }
  }

  [Symbol.dispose](): void {
    this.#ring[Symbol.dispose]()
  }

  /** Aims `vectors` at `bytes` of the ring, in two pieces across its end. Gives their count. */
  #point(offset: number, bytes: number): number {
    const straightBytes = this.queue.bytesMax - offset
    if (bytes <= straightBytes) return pointAt(this.#ring.address + offset, bytes)
    vectors.set(0, this.#ring.address + offset, straightBytes)
    vectors.set(1, this.#ring.address, bytes - straightBytes)
    return 2
  }
}

function pointAt(address: number, bytes: number): number {
  vectors.set(0, address, bytes)
  return 1
}
