/** Both ends belong to it. Of versions (from 1) or of seqs (from 0). */
export interface Range {
  readonly start: number
  readonly end: number
}

/**
 * A set of integers as sorted ranges that neither overlap nor touch. Adding and removing cost a binary
 * search and the ranges touched, so a gap list of thousands stays cheap.
 */
export class RangeSet implements Iterable<Range> {
  readonly #ranges: Range[] = []

  constructor(ranges: Iterable<Range> = []) {
    for (const { start, end } of ranges) this.add(start, end)
  }

  get isEmpty(): boolean {
    return this.#ranges.length === 0
  }

  /** How many ranges, not how many numbers. */
  get rangeCount(): number {
    return this.#ranges.length
  }

  /** How many numbers. */
  get size(): number {
    return this.#ranges.reduce((sum, { start, end }) => sum + end - start + 1, 0)
  }

  /** The largest number; undefined when empty. */
  get last(): number | undefined {
    return this.#ranges.at(-1)?.end
  }

  [Symbol.iterator](): Iterator<Range> {
    return this.#ranges[Symbol.iterator]()
  }

  toArray(): Range[] {
    return [...this.#ranges]
  }

  add(start: number, end: number): void {
    if (end < start) return
    const from = this.#firstEndingAt(start - 1)
    let to = from
    let low = start
    let high = end
    for (; to < this.#ranges.length; to += 1) {
      const range = this.#ranges[to] as Range
      if (range.start > end + 1) break
      low = Math.min(low, range.start)
      high = Math.max(high, range.end)
    }
    this.#ranges.splice(from, to - from, { start: low, end: high })
  }

  remove(start: number, end: number): void {
    if (end < start) return
    const from = this.#firstEndingAt(start)
    const left: Range[] = []
    let to = from
    for (; to < this.#ranges.length; to += 1) {
      const range = this.#ranges[to] as Range
      if (range.start > end) break
      if (range.start < start) left.push({ start: range.start, end: start - 1 })
      if (range.end > end) left.push({ start: end + 1, end: range.end })
    }
    this.#ranges.splice(from, to - from, ...left)
  }

  has(value: number): boolean {
    return this.contains(value, value)
  }

  /** Every number from start to end is in it. */
  contains(start: number, end: number): boolean {
    const range = this.#ranges[this.#firstEndingAt(start)]
    return range !== undefined && range.start <= start && range.end >= end
  }

  /** What of start..end is in the set. */
  within(start: number, end: number): Range[] {
    const found: Range[] = []
    for (let at = this.#firstEndingAt(start); at < this.#ranges.length; at += 1) {
      const range = this.#ranges[at] as Range
      if (range.start > end) break
      found.push({ start: Math.max(range.start, start), end: Math.min(range.end, end) })
    }
    return found
  }

  /** What of start..end is not in the set. */
  missing(start: number, end: number): Range[] {
    const found: Range[] = []
    let next = start
    for (const range of this.within(start, end)) {
      if (range.start > next) found.push({ start: next, end: range.start - 1 })
      next = range.end + 1
    }
    if (next <= end) found.push({ start: next, end })
    return found
  }

  clone(): RangeSet {
    const copy = new RangeSet()
    copy.#ranges.push(...this.#ranges)
    return copy
  }

  /** Index of the first range whose end is `value` or beyond. */
  #firstEndingAt(value: number): number {
    let low = 0
    let high = this.#ranges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#ranges[middle] as Range).end < value) low = middle + 1
      else high = middle
    }
    return low
  }
}
