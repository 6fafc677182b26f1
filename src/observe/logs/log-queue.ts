import type { LogEntry } from './log-entry.ts'

export interface LogQueueLimits {
  /** Entries that wait to be sent. */
  readonly entriesMax: number
  /** Of each machine, in the long run. */
  readonly linesPerSecond: number
  readonly burst: number
  /** Machines whose rate is remembered; the longest silent is forgotten. */
  readonly machinesMax: number
}

export const LOG_QUEUE_LIMITS: LogQueueLimits = {
  entriesMax: 20_000,
  linesPerSecond: 500,
  burst: 5_000,
  machinesMax: 10_000,
}

export interface WaitingEntry {
  readonly subject: string
  readonly entry: LogEntry
}

interface Bucket {
  tokens: number
  atMs: number
  /** Lines that were not taken since the last that was. */
  dropped: number
}

/**
 * What waits to be sent. No I/O and no clock. Bounded twice: a machine that floods the log loses its own
 * lines and nobody else's, and when nothing can be sent the oldest go. What was lost is told in the log
 * itself.
 */
export class LogQueue {
  readonly #limits: LogQueueLimits
  readonly #buckets = new Map<string, Bucket>()
  #entries: WaitingEntry[] = []
  #droppedOldest = 0

  constructor(limits: LogQueueLimits = LOG_QUEUE_LIMITS) {
    this.#limits = limits
  }

  get size(): number {
    return this.#entries.length
  }

  /** Lines that were lost because nothing could be sent. */
  get droppedOldest(): number {
    return this.#droppedOldest
  }

  push(waiting: WaitingEntry, nowMs: number): void {
    const bucket = this.#bucketOf(waiting.subject, nowMs)
    if (bucket.tokens < 1) {
      bucket.dropped += 1
      return
    }
    bucket.tokens -= 1
    if (bucket.dropped > 0) {
      this.#append({ ...waiting, entry: lossEntry(waiting.entry, bucket.dropped) })
      bucket.dropped = 0
    }
    this.#append(waiting)
  }

  /** Takes up to `count`, oldest first. */
  take(count: number): WaitingEntry[] {
    return this.#entries.splice(0, count)
  }

  /** Puts back what could not be sent, before all others. */
  putBack(entries: readonly WaitingEntry[]): void {
    this.#entries = [...entries, ...this.#entries]
    this.#trim()
  }

  #append(waiting: WaitingEntry): void {
    this.#entries.push(waiting)
    this.#trim()
  }

  #trim(): void {
    const over = this.#entries.length - this.#limits.entriesMax
    if (over <= 0) return
    this.#entries.splice(0, over)
    this.#droppedOldest += over
  }

  #bucketOf(subject: string, nowMs: number): Bucket {
    const { burst, linesPerSecond, machinesMax } = this.#limits
    const known = this.#buckets.get(subject)
    const bucket = known ?? { tokens: burst, atMs: nowMs, dropped: 0 }
    const passedMs = Math.max(0, nowMs - bucket.atMs)
    bucket.tokens = Math.min(burst, bucket.tokens + (passedMs / 1000) * linesPerSecond)
    bucket.atMs = nowMs
    this.#buckets.delete(subject) // the order of the map is the order of use
    this.#buckets.set(subject, bucket)
    if (this.#buckets.size > machinesMax) {
      const [oldest] = this.#buckets.keys()
      if (oldest !== undefined) this.#buckets.delete(oldest)
    }
    return bucket
  }
}

const lossEntry = (after: LogEntry, count: number): LogEntry => ({
  ...after,
  event: { provider: 'runner' },
  log: { level: 'warn' },
  message: `${count} lines were not kept: this machine writes more than the log takes`,
})
