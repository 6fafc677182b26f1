import assert from 'node:assert/strict'
import type { Random } from '#base'
import type { QueueLimits } from './config.ts'

export interface DelayQueueOptions extends QueueLimits {
  readonly delayUs: number
  readonly jitterUs?: number
  readonly random: Random
}

/**
 * The frames of one direction of a link, in order, each with the time at which it may go on. Holds
 * no bytes: they lie in a ring of `bytesMax` bytes that the shell owns, and this class says where.
 *
 *        headOffset       tailOffset
 *   ........[frame|frame|frame]..........   a frame may lie across the ring's end
 *
 * A frame is written at `tailOffset` first and offered then; a refused frame stays unwritten to the
 * schedule, so that the next one overwrites it. Constant delay keeps order by itself; jitter, and a
 * delay that was shortened, never let a frame go before the one ahead of it.
 *
 * HOT: runs for every frame. No allocation here.
 */
export class DelayQueue {
  readonly bytesMax: number
  readonly framesMax: number
  #delayUs: number
  #jitterUs: number
  readonly #random: Random
  readonly #releaseUs: Float64Array
  readonly #frameBytes: Uint32Array
  #firstSlot = 0
  #frameCount = 0
  #headOffset = 0
  #heldBytes = 0
  #lastReleaseUs = 0
  #droppedFrames = 0
  #reachedBytes = 0

  constructor({ bytesMax, framesMax, delayUs, jitterUs = 0, random }: DelayQueueOptions) {
    assert(bytesMax > 0 && framesMax > 0, 'a queue holds something')
    this.bytesMax = bytesMax
    this.framesMax = framesMax
    this.#delayUs = delayUs
    this.#jitterUs = jitterUs
    this.#random = random
    this.#releaseUs = new Float64Array(framesMax)
    this.#frameBytes = new Uint32Array(framesMax)
  }

  get frameCount(): number {
    return this.#frameCount
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  get droppedFrames(): number {
    return this.#droppedFrames
  }

  get delayUs(): number {
    return this.#delayUs
  }

  get jitterUs(): number {
    return this.#jitterUs
  }

  /** Where in the ring the next frame belongs. */
  get tailOffset(): number {
    const offset = this.#headOffset + this.#heldBytes
    return offset >= this.bytesMax ? offset - this.bytesMax : offset
  }

  get headOffset(): number {
    return this.#headOffset
  }

  /** Size of the frame at the head; 0 when there is none. */
  get headBytes(): number {
    return this.#frameCount === 0 ? 0 : (this.#frameBytes[this.#firstSlot] ?? 0)
  }

  /** When the frame at the head may go. Infinity: there is none. */
  get nextReleaseUs(): number {
    return this.#frameCount === 0 ? Infinity : (this.#releaseUs[this.#firstSlot] ?? Infinity)
  }

  /** How far into the ring frames were written since the last `forgetReached`. */
  get reachedBytes(): number {
    return this.#reachedBytes
  }

  /** Whether a frame of this size would be taken now. */
  hasRoom(frameBytes: number): boolean {
    return this.#frameCount < this.framesMax && this.#heldBytes + frameBytes <= this.bytesMax
  }

  /** Takes the frame that lies at `tailOffset`. False: no room, it was dropped and counted. */
  offer(frameBytes: number, nowUs: number): boolean {
    assert(frameBytes > 0, 'an empty frame')
    if (!this.hasRoom(frameBytes)) {
      this.refuse()
      return false
    }
    const jitterUs = this.#jitterUs === 0 ? 0 : this.#random.next() * this.#jitterUs
    const releaseUs = Math.max(this.#lastReleaseUs, nowUs + this.#delayUs + jitterUs)
    const slot = this.#firstSlot + this.#frameCount
    const slotIndex = slot >= this.framesMax ? slot - this.framesMax : slot
    this.#releaseUs[slotIndex] = releaseUs
    this.#frameBytes[slotIndex] = frameBytes
    this.#lastReleaseUs = releaseUs
    this.#frameCount += 1
    this.#heldBytes += frameBytes
    const endOffset = Math.min(this.bytesMax, this.#headOffset + this.#heldBytes)
    if (endOffset > this.#reachedBytes) this.#reachedBytes = endOffset
    return true
  }

  /** Counts a frame that the shell dropped because `hasRoom` said no. */
  refuse(): void {
    this.#droppedFrames += 1
  }

  /** Whether the frame at the head may go at `nowUs`. */
  isDue(nowUs: number): boolean {
    return this.nextReleaseUs <= nowUs
  }

  /** Removes the frame at the head: it has gone. */
  shift(): void {
    assert(this.#frameCount > 0, 'shift on an empty queue')
    const frameBytes = this.headBytes
    this.#frameCount -= 1
    this.#heldBytes -= frameBytes
    if (this.#frameCount === 0) {
      // Begin at the start again: a quiet link then touches only the ring's first pages.
      this.#firstSlot = 0
      this.#headOffset = 0
      return
    }
    this.#firstSlot = this.#firstSlot + 1 === this.framesMax ? 0 : this.#firstSlot + 1
    const offset = this.#headOffset + frameBytes
    this.#headOffset = offset >= this.bytesMax ? offset - this.bytesMax : offset
  }

  /** Applies to frames offered from now on; those held keep their time. */
  setDelay(delayUs: number, jitterUs: number): void {
    this.#delayUs = delayUs
    this.#jitterUs = jitterUs
  }

  /** For a shell that has given the ring's memory back. Only while empty. */
  forgetReached(): void {
    assert(this.#frameCount === 0, 'frames lie in the memory that was given back')
    this.#reachedBytes = 0
  }
}
