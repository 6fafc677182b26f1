import type { Random } from '#base'
import { EventQueue } from './event-queue.ts'
import { HistoryHash } from './history-hash.ts'
import { randomStream } from './random-stream.ts'
import { NOBODY, Timeline, Trace } from './timeline.ts'

/** One life of a node, from boot to crash. What belongs to it dies with it. */
export interface Incarnation {
  readonly nodeId: string
  readonly nodeIndex: number
  /** 1 at the first boot. */
  readonly number: number
  isAlive: boolean
  /** Events for this incarnation wait until then: a stopped process, a suspended machine. */
  resumeAtMs: number
  /** Called once at its death, in order of registration. */
  readonly atDeath: Set<(kind: CrashKind) => void>
}

/**
 * `process`: kill -9. The kernel lives on, so it resets the node's streams, and what was written
 * but not synced is still in the page cache. `power`: the machine is gone. Peers hear nothing,
 * and the disk keeps only what disk-image.ts says.
 */
export type CrashKind = 'process' | 'power'

/** What all pieces of one simulated world share: time, the future, the record, the seed. */
export class Kernel {
  readonly seed: number
  readonly queue = new EventQueue()
  readonly hash = new HistoryHash()
  readonly timeline: Timeline
  /** World time in ms since the run began: what an observer outside all nodes would see. */
  nowMs = 0
  /** Whose code runs now, so that what it throws is laid at the right door. */
  running: Incarnation | null = null
  /** Deaths so far; lets the loop see that one happened during an event. */
  deathCount = 0

  constructor(seed: number, timelineEntries: number) {
    this.seed = seed
    this.timeline = new Timeline(timelineEntries, this.hash)
  }

  stream(...labels: readonly (string | number)[]): Random {
    return randomStream(this.seed, ...labels)
  }

  record(kind: Trace, node: number, peer: number, detail: unknown): void {
    this.timeline.record(kind, this.nowMs, node, peer, detail)
  }

  /** A landmark of the world itself: a partition, a heal, a fault that was switched on. */
  recordWorld(what: string): void {
    this.hash.mixString(what)
    this.record(Trace.fault, NOBODY, NOBODY, what)
  }
}
