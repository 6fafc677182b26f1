/** Flows that one process follows, on each of its two sides. */
export const FLOWS_MAX = 65_536
/** A flow without a datagram for so long is forgotten. */
export const FLOW_IDLE_MS = 60_000

export interface FlowTableOptions<Flow> {
  readonly max?: number
  readonly idleMs?: number
  /** The flow is in the table no more, for whatever reason. */
  readonly ended?: (flow: Flow) => void
}

export interface FlowRecord<Flow> {
  readonly key: string
  readonly flow: Flow
  readonly idleMs: number
  readonly isAnswered: boolean
}

interface Kept<Flow> {
  readonly flow: Flow
  usedMs: number
}

/**
 * Flows by key, the least used first. A full table makes room by forgetting first what was never answered: a flood from
 * forged addresses drives out itself, and not those who are in conversation.
 */
export class FlowTable<Flow> {
  readonly #max: number
  readonly #idleMs: number
  readonly #ended: (flow: Flow) => void
  // In the order of their last use: a Map keeps the order in which keys were set.
  readonly #unanswered = new Map<string, Kept<Flow>>()
  readonly #answered = new Map<string, Kept<Flow>>()
  /** Flows that had to make room, ever. */
  evictedCount = 0

  constructor({ max = FLOWS_MAX, idleMs = FLOW_IDLE_MS, ended }: FlowTableOptions<Flow> = {}) {
    this.#max = max
    this.#idleMs = idleMs
    this.#ended = ended ?? (() => undefined)
  }

  get size(): number {
    return this.#unanswered.size + this.#answered.size
  }

  /** It is used now. `nowMs` is monotonic. */
  use(key: string, nowMs: number): Flow | undefined {
    const map = this.#answered.has(key) ? this.#answered : this.#unanswered
    const kept = map.get(key)
    if (kept === undefined) return undefined
    map.delete(key)
    if (nowMs - kept.usedMs >= this.#idleMs) {
      this.#ended(kept.flow)
      return undefined
    }
    kept.usedMs = nowMs
    map.set(key, kept)
    return kept.flow
  }

  /** A flow that begins, or another one in its place. */
  begin(key: string, flow: Flow, nowMs: number): void {
    this.end(key)
    if (this.size >= this.#max) this.#evict()
    this.#unanswered.set(key, { flow, usedMs: nowMs })
  }

  /** The other side has spoken: it is used now, and forgotten after those that never were answered. */
  answer(key: string, nowMs: number): Flow | undefined {
    const flow = this.use(key, nowMs)
    const kept = this.#unanswered.get(key)
    if (kept !== undefined) {
      this.#unanswered.delete(key)
      this.#answered.set(key, kept)
    }
    return flow
  }

  /** All of them, the least used first, so that another table which begins them in turn is as this one. */
  *records(nowMs: number): Generator<FlowRecord<Flow>> {
    for (const map of [this.#unanswered, this.#answered]) {
      for (const [key, { flow, usedMs }] of map)
        yield { key, flow, idleMs: nowMs - usedMs, isAnswered: map === this.#answered }
    }
  }

  end(key: string): void {
    const kept = this.#unanswered.get(key) ?? this.#answered.get(key)
    if (kept === undefined) return
    this.#unanswered.delete(key)
    this.#answered.delete(key)
    this.#ended(kept.flow)
  }

  /** Forgets what was idle for too long. */
  sweep(nowMs: number): void {
    for (const map of [this.#unanswered, this.#answered]) {
      for (const [key, { usedMs }] of map) {
        if (nowMs - usedMs < this.#idleMs) break
        this.end(key)
      }
    }
  }

  clear(): void {
    for (const map of [this.#unanswered, this.#answered]) {
      for (const key of [...map.keys()]) this.end(key)
    }
  }

  #evict(): void {
    const map = this.#unanswered.size > 0 ? this.#unanswered : this.#answered
    const [oldest] = map.keys()
    if (oldest === undefined) return
    this.evictedCount += 1
    this.end(oldest)
  }
}
