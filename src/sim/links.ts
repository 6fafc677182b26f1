// HOT: `row` and its arrays are read for every datagram.

/** How one direction between two nodes behaves when nothing is wrong with it. */
export interface LinkSettings {
  /** One way. */
  readonly latencyMs: number
  /** Added to the latency: uniform in [0, jitterMs), so datagrams overtake each other. */
  readonly jitterMs: number
  readonly lossRatio: number
  readonly duplicateRatio: number
  /** How many datagrams are held back for up to `reorderMs`. */
  readonly reorderRatio: number
  readonly reorderMs: number
  /** Infinity: the link is never full. */
  readonly bytesPerMs: number
}

export const defaultLink: LinkSettings = {
  latencyMs: 1,
  jitterMs: 1,
  lossRatio: 0,
  duplicateRatio: 0,
  reorderRatio: 0,
  reorderMs: 50,
  bytesPerMs: Number.POSITIVE_INFINITY,
}

const loopback: LinkSettings = { ...defaultLink, latencyMs: 0.02, jitterMs: 0 }

/** A node as the network knows it. */
export interface Place {
  readonly id: string
  readonly index: number
  /** A name for latency matrices; '' when the scenario gave none. */
  readonly region: string
}

/** Called once per link: what differs from `defaultLink`. */
export type LinkRule = (from: Place, to: Place) => Partial<LinkSettings>

/** One-way latencies by region: `matrix[from][to]`, or `[to][from]`; within a region `localMs`. */
export function regionLatency(
  matrix: Readonly<Record<string, Readonly<Record<string, number>>>>,
  localMs = 0.5,
): LinkRule {
  return (from, to) => {
    if (from.region === to.region) return { latencyMs: localMs, jitterMs: localMs / 2 }
    const latencyMs = matrix[from.region]?.[to.region] ?? matrix[to.region]?.[from.region]
    if (latencyMs === undefined) {
      throw new RangeError(`no latency between regions '${from.region}' and '${to.region}'`)
    }
    return { latencyMs, jitterMs: latencyMs / 20 }
  }
}

/** What happened on one direction of one link since the world began. */
export interface LinkCounts {
  readonly sent: number
  readonly received: number
  readonly dropped: number
  readonly sentBytes: number
}

/** Columns of `LinkRow.counters`. */
export const Counter = { sent: 0, received: 1, dropped: 2, sentBytes: 3 } as const
const COUNTERS = 4

/**
 * All links that leave one node, by index of the other end: arrays, because meshes are large, and
 * the counters of a link side by side, because a large mesh does not fit the processor's cache.
 */
export class LinkRow {
  settings: (LinkSettings | undefined)[] = []
  cuts: Uint16Array
  counters: Float64Array
  /** Until when the link is busy with what was sent before: bandwidth. */
  busyUntilMs: Float64Array

  constructor(capacity: number) {
    this.cuts = new Uint16Array(capacity)
    this.counters = new Float64Array(capacity * COUNTERS)
    this.busyUntilMs = new Float64Array(capacity)
  }

  count(to: number, counter: number, amount: number): void {
    const at = to * COUNTERS + counter
    this.counters[at] = (this.counters[at] as number) + amount
  }

  grow(capacity: number): void {
    const { cuts, counters, busyUntilMs } = this
    this.cuts = new Uint16Array(capacity)
    this.cuts.set(cuts)
    this.counters = new Float64Array(capacity * COUNTERS)
    this.counters.set(counters)
    this.busyUntilMs = new Float64Array(capacity)
    this.busyUntilMs.set(busyUntilMs)
  }
}

const ROWS_CAPACITY_MIN = 16

/** Settings, cuts and counters of every link. Rows come into being with a node's first message. */
export class LinkTable {
  /** How many directions are cut; while it is 0 nobody needs to look. */
  cutCount = 0
  readonly #rule: LinkRule
  /** The settings of all links, while nothing makes one of them special. */
  #uniform: LinkSettings | undefined
  /** Equal settings are one object: a mesh of 1,000 nodes has a million links. */
  readonly #interned = new Map<string, LinkSettings>()
  readonly #places: Place[] = []
  readonly #rows: (LinkRow | undefined)[] = []
  #capacity = ROWS_CAPACITY_MIN

  constructor(link: LinkRule | Partial<LinkSettings>) {
    this.#rule = typeof link === 'function' ? link : () => link
    this.#uniform = typeof link === 'function' ? undefined : { ...defaultLink, ...link }
  }

  add(place: Place): void {
    this.#places.push(place)
    if (this.#places.length <= this.#capacity) return
    this.#capacity *= 2
    for (const row of this.#rows) row?.grow(this.#capacity)
  }

  row(from: number): LinkRow {
    const row = this.#rows[from]
    if (row !== undefined) return row
    const made = new LinkRow(this.#capacity)
    this.#rows[from] = made
    return made
  }

  settings(from: number, to: number): LinkSettings {
    if (from === to) return loopback
    return this.#uniform ?? this.row(from).settings[to] ?? this.#ask(from, to)
  }

  /** From now on; the way back is a link of its own. */
  change(from: number, to: number, settings: Partial<LinkSettings>): void {
    const changed = { ...this.settings(from, to), ...settings }
    this.#uniform = undefined
    this.row(from).settings[to] = changed
  }

  isCut(from: number, to: number): boolean {
    return this.cutCount > 0 && (this.row(from).cuts[to] as number) > 0
  }

  /** Cuts add up: `change` is 1 or -1. */
  cut(from: number, to: number, change: 1 | -1): void {
    const { cuts } = this.row(from)
    cuts[to] = (cuts[to] as number) + change
    this.cutCount += change
  }

  counts(from: number, to: number): LinkCounts {
    const { counters } = this.row(from)
    const of = (counter: number) => counters[to * COUNTERS + counter] ?? 0
    return {
      sent: of(Counter.sent),
      received: of(Counter.received),
      dropped: of(Counter.dropped),
      sentBytes: of(Counter.sentBytes),
    }
  }

  #ask(from: number, to: number): LinkSettings {
    const source = this.#places[from] as Place
    const target = this.#places[to] as Place
    const made = { ...defaultLink, ...this.#rule(source, target) }
    const key = Object.values(made).join()
    const settings = this.#interned.get(key) ?? made
    this.#interned.set(key, settings)
    this.row(from).settings[to] = settings
    return settings
  }
}
