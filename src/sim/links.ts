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

/** All links that leave one node, by index of the other end. Arrays, because meshes are large. */
export class LinkRow {
  settings: (LinkSettings | undefined)[] = []
  cuts: Uint16Array
  sent: Float64Array
  received: Float64Array
  dropped: Float64Array
  sentBytes: Float64Array
  /** Until when the link is busy with what was sent before: bandwidth. */
  busyUntilMs: Float64Array

  constructor(capacity: number) {
    this.cuts = new Uint16Array(capacity)
    this.sent = new Float64Array(capacity)
    this.received = new Float64Array(capacity)
    this.dropped = new Float64Array(capacity)
    this.sentBytes = new Float64Array(capacity)
    this.busyUntilMs = new Float64Array(capacity)
  }

  grow(capacity: number): void {
    const larger = new LinkRow(capacity)
    larger.cuts.set(this.cuts)
    larger.sent.set(this.sent)
    larger.received.set(this.received)
    larger.dropped.set(this.dropped)
    larger.sentBytes.set(this.sentBytes)
    larger.busyUntilMs.set(this.busyUntilMs)
    larger.settings = this.settings
    Object.assign(this, larger)
  }
}

const ROWS_CAPACITY_MIN = 16

/** Settings, cuts and counters of every link. Rows come into being with a node's first message. */
export class LinkTable {
  readonly #rule: LinkRule
  readonly #places: Place[] = []
  readonly #rows: (LinkRow | undefined)[] = []
  #capacity = ROWS_CAPACITY_MIN

  constructor(rule: LinkRule) {
    this.#rule = rule
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
    const row = this.row(from)
    const known = row.settings[to]
    if (known !== undefined) return known
    const source = this.#places[from] as Place
    const target = this.#places[to] as Place
    const made = from === to ? loopback : { ...defaultLink, ...this.#rule(source, target) }
    row.settings[to] = made
    return made
  }

  change(from: number, to: number, settings: Partial<LinkSettings>): void {
    this.row(from).settings[to] = { ...this.settings(from, to), ...settings }
  }

  isCut(from: number, to: number): boolean {
    return (this.row(from).cuts[to] as number) > 0
  }

  counts(from: number, to: number): LinkCounts {
    const row = this.row(from)
    const of = (column: Float64Array) => column[to] ?? 0
    return {
      sent: of(row.sent),
      received: of(row.received),
      dropped: of(row.dropped),
      sentBytes: of(row.sentBytes),
    }
  }
}
