/**
 * What turns the crank.
 *
 * `run` is for synchronous code, the cores: events one after the other, no promise ever awaited.
 * `runAsync` also drains microtasks: after each event it waits for one turn of Node's own loop,
 * by when every promise chain that the event set off has gone as far as it can without a new
 * event. So code may await the simulated clock, disk and streams, and each other, but nothing of
 * the real world (files, sockets, timers, worker threads): that would come back at no
 * determined event. Two events never interleave: all consequences of the first come first.
 */
import { isCrashSignal, SimError } from './errors.ts'
import type { Kernel } from './kernel.ts'
import { forbidRealWorld, installGuards } from './real-world-guard.ts'

const SAME_INSTANT_EVENTS_MAX = 1_000_000

/** Where a stretch of a run ends: at whatever comes first. At least one is given. */
export interface RunBound {
  /** Virtual time from now. */
  readonly forMs?: number
  /** Events from now. */
  readonly eventsMax?: number
  /** Asked before the first and after every event. */
  readonly until?: () => boolean
}

/** `idle`: no event is left. */
export type StopReason = 'until' | 'time' | 'events' | 'idle'

/** What the world wants to know of the loop. */
export interface LoopHooks {
  /** After each event and its consequences; throws to end the run. */
  afterEvent(): void
  /** Code of a node let an error escape; throws to end the run. */
  escaped(error: unknown): void
  timeIsStuck(): never
}

interface Limit {
  readonly untilMs: number
  readonly untilEvent: number
  readonly until: (() => boolean) | undefined
}

export class RunLoop {
  eventCount = 0
  readonly #kernel: Kernel
  readonly #hooks: LoopHooks
  #sameInstant = 0

  constructor(kernel: Kernel, hooks: LoopHooks) {
    this.#kernel = kernel
    this.#hooks = hooks
  }

  run(bound: RunBound): StopReason {
    const limit = this.#limitOf(bound)
    using _guards = installGuards()
    return forbidRealWorld(() => {
      for (;;) {
        const stop = this.#stopReason(limit)
        if (stop !== undefined) return stop
        this.#fireNext()
        this.#hooks.afterEvent()
      }
    })
  }

  async runAsync(bound: RunBound): Promise<StopReason> {
    const limit = this.#limitOf(bound)
    using rejections = collectRejections()
    using _guards = installGuards()
    await nextTurn() // what the scenario set off before it called
    for (;;) {
      const stop = forbidRealWorld(() => this.#stopReason(limit))
      if (stop !== undefined) return stop
      const deathsBefore = this.#kernel.deathCount
      forbidRealWorld(() => this.#fireNext())
      await nextTurn()
      const isDeath = this.#kernel.deathCount > deathsBefore
      for (const error of rejections.take()) {
        // Right after a death the dead code unwinds, and may wrap the signal in words of its own.
        if (!isDeath) this.#hooks.escaped(error)
      }
      forbidRealWorld(() => this.#hooks.afterEvent())
    }
  }

  #limitOf({ forMs, eventsMax, until }: RunBound): Limit {
    if (forMs === undefined && eventsMax === undefined && until === undefined) {
      throw new SimError('sim.usage', {
        what: 'a run needs a bound',
        fix: 'give forMs, eventsMax or until',
      })
    }
    return {
      untilMs: this.#kernel.nowMs + (forMs ?? Number.POSITIVE_INFINITY),
      untilEvent: this.eventCount + (eventsMax ?? Number.POSITIVE_INFINITY),
      until,
    }
  }

  #stopReason(limit: Limit): StopReason | undefined {
    if (limit.until?.()) return 'until'
    if (this.eventCount >= limit.untilEvent) return 'events'
    const { nextMs } = this.#kernel.queue
    if (nextMs <= limit.untilMs && nextMs < Number.POSITIVE_INFINITY) return undefined
    if (limit.untilMs < Number.POSITIVE_INFINITY) this.#kernel.nowMs = limit.untilMs
    return nextMs === Number.POSITIVE_INFINITY ? 'idle' : 'time'
  }

  /** HOT: once per event. */
  #fireNext(): void {
    const kernel = this.#kernel
    const event = kernel.queue.pop()
    if (event === undefined) return
    const { atMs } = event
    if (atMs > kernel.nowMs) {
      kernel.nowMs = atMs
      this.#sameInstant = 0
    } else {
      this.#sameInstant += 1
      if (this.#sameInstant > SAME_INSTANT_EVENTS_MAX) this.#hooks.timeIsStuck()
    }
    this.eventCount += 1
    kernel.hash.mixNumber(atMs)
    kernel.running = null
    try {
      event.fire()
    } catch (error) {
      this.#hooks.escaped(error)
    }
  }
}

const { setImmediate: realSetImmediate } = globalThis

/** Resolves when every microtask and every nextTick has run, those that they queue included. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    realSetImmediate(resolve)
  })
}

let isCollecting = false

/** Takes over unhandled rejections: those of dead code are dropped, the others end the run. */
function collectRejections(): Disposable & { take(): unknown[] } {
  if (isCollecting) {
    throw new SimError('sim.usage', {
      what: 'two async runs at once in one process',
      fix: 'await the first: their unhandled rejections could not be told apart',
    })
  }
  isCollecting = true
  let errors: unknown[] = []
  const others = process.listeners('unhandledRejection')
  const collect = (error: unknown) => {
    if (!isCrashSignal(error)) errors.push(error)
  }
  process.removeAllListeners('unhandledRejection')
  process.on('unhandledRejection', collect)
  return {
    take() {
      const taken = errors
      if (taken.length > 0) errors = []
      return taken
    },
    [Symbol.dispose]() {
      isCollecting = false
      process.off('unhandledRejection', collect)
      for (const other of others) process.on('unhandledRejection', other)
    },
  }
}
