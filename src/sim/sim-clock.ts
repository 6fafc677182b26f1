import assert from 'node:assert/strict'
import type { Clock } from '#base'
import { CrashSignal } from './errors.ts'
import { SimEvent } from './event-queue.ts'
import type { Incarnation, Kernel } from './kernel.ts'

/** The instant at which every world begins: 2026-01-01T00:00:00Z. */
export const EPOCH_MS = 1_767_225_600_000

/** Node takes at most this for a timer, and fires longer ones after 1 ms. Here they are refused. */
export const TIMER_MS_MAX = 2 ** 31 - 1
const TIMER_MS_MIN = 1

/**
 * The crystal and the wall clock of one machine; both outlive a process. `driftRatio` 0.001 gains
 * a millisecond a second; `skewMs` is added to it for the wall clock.
 */
export class MachineTime {
  skewMs = 0
  #rate = 1
  #anchorWorldMs = 0
  #anchorLocalMs = 0

  get driftRatio(): number {
    return this.#rate - 1
  }

  /** From now on; timers that are already set keep their instant. */
  setDrift(driftRatio: number, worldMs: number): void {
    assert(driftRatio > -1, 'a clock cannot run backwards')
    this.#anchorLocalMs = this.localMs(worldMs)
    this.#anchorWorldMs = worldMs
    this.#rate = 1 + driftRatio
  }

  /** Wall clock set right and crystal exact, as a time daemon leaves them in the end. */
  correct(worldMs: number): void {
    this.setDrift(0, worldMs)
    this.jump(0, worldMs)
  }

  /** Sets the wall clock so far ahead of the world's; the crystal goes on as it did. */
  jump(aheadMs: number, worldMs: number): void {
    this.skewMs = worldMs + aheadMs - this.localMs(worldMs)
  }

  localMs(worldMs: number): number {
    return this.#anchorLocalMs + (worldMs - this.#anchorWorldMs) * this.#rate
  }

  worldDelayMs(localDelayMs: number): number {
    return localDelayMs / this.#rate
  }
}

/** A pending callback of one incarnation; its own handle, so that a timer is one allocation. */
class TimerEvent extends SimEvent implements Disposable {
  readonly #kernel: Kernel
  readonly #owner: Incarnation
  #callback: (() => void) | null

  constructor(kernel: Kernel, owner: Incarnation, callback: () => void) {
    super()
    this.#kernel = kernel
    this.#owner = owner
    this.#callback = callback
  }

  fire(): void {
    const owner = this.#owner
    const callback = this.#callback
    if (!owner.isAlive || callback === null) return
    if (owner.resumeAtMs > this.#kernel.nowMs) {
      this.#kernel.queue.push(this, owner.resumeAtMs)
      return
    }
    this.#callback = null
    this.#kernel.running = owner
    callback()
  }

  [Symbol.dispose](): void {
    if (this.#callback === null) return
    this.#callback = null
    this.#kernel.queue.cancel(this)
  }
}

/** Runs `callback` after `delayMs` of world time unless `owner` has died by then. */
export function scheduleFor(
  kernel: Kernel,
  owner: Incarnation,
  delayMs: number,
  callback: () => void,
): Disposable {
  const event = new TimerEvent(kernel, owner, callback)
  kernel.queue.push(event, kernel.nowMs + delayMs)
  return event
}

/**
 * The clock that one incarnation of a node sees. Whole milliseconds from `nowMs`, as from
 * `Date.now`; `monotonicMs` starts anew at each boot, at a figure that depends on the boot, so
 * code that saves it across a restart is found out. Timers below 1 ms wait 1 ms, as in Node, so
 * a timer that always sets itself again cannot stop time.
 */
export class NodeClock implements Clock {
  readonly #kernel: Kernel
  readonly #owner: Incarnation
  readonly #time: MachineTime
  readonly #originMs: number
  #floorMs = 0

  constructor(kernel: Kernel, owner: Incarnation, time: MachineTime) {
    this.#kernel = kernel
    this.#owner = owner
    this.#time = time
    const uptimeMs = kernel.stream('uptime', owner.nodeId, owner.number).int(10_000_000)
    this.#originMs = time.localMs(kernel.nowMs) - uptimeMs
  }

  nowMs(): number {
    const time = this.#time
    return Math.floor(EPOCH_MS + time.skewMs + time.localMs(this.#kernel.nowMs))
  }

  monotonicMs(): number {
    // The floor: after a timer of n ms never less than n ms have passed, whatever rounding says.
    return Math.max(this.#floorMs, this.#time.localMs(this.#kernel.nowMs) - this.#originMs)
  }

  setTimer(callback: () => void, afterMs: number): Disposable {
    if (!this.#owner.isAlive) throw new CrashSignal(this.#owner.nodeId)
    assert(
      afterMs <= TIMER_MS_MAX,
      'a timer that is no number, or beyond 2^31 - 1 ms, fires at once in Node',
    )
    const delayMs = Math.max(afterMs, TIMER_MS_MIN)
    const dueMs = this.monotonicMs() + delayMs
    const fire = () => {
      if (this.#floorMs < dueMs) this.#floorMs = dueMs
      callback()
    }
    return scheduleFor(this.#kernel, this.#owner, this.#time.worldDelayMs(delayMs), fire)
  }

  /** A dead incarnation's sleep never ends, so its code stops here without an error. */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (!this.#owner.isAlive) return new Promise(() => undefined)
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const abort = () => {
        timer[Symbol.dispose]()
        reject(signal?.reason)
      }
      const timer = this.setTimer(() => {
        signal?.removeEventListener('abort', abort)
        resolve()
      }, ms)
      signal?.addEventListener('abort', abort, { once: true })
    })
  }
}
