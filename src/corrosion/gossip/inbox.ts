import { type Changeset, changeCount } from '../changes/changeset.ts'

/** A changeset on its way into the store. */
export interface Arrival {
  readonly changeset: Changeset
  /** Address of the peer that it came from, and the frame to pass on; undefined when sync brought it. */
  readonly broadcast?: { readonly from: string; readonly frame: Uint8Array }
}

/** A changeset counts as this many changes at least. */
const COST_MIN = 1

/**
 * Changesets that wait to be applied. Bounded by the changes in them: when it is full the oldest goes, and is
 * simply not known: sync brings it again. A changeset that is on its way already is not taken twice;
 * nothing counts as known before the store has it.
 */
export class Inbox {
  readonly #costMax: number
  #queue: Arrival[] = []
  /** First of `#queue` that was not taken or dropped yet. */
  #at = 0
  #cost = 0
  #dropped = 0
  readonly #onTheWay = new Set<string>()

  constructor(costMax = 20_000) {
    this.#costMax = costMax
  }

  get length(): number {
    return this.#queue.length - this.#at
  }

  /** Changesets that were dropped since the start. */
  get droppedCount(): number {
    return this.#dropped
  }

  get isFull(): boolean {
    return this.#cost >= this.#costMax
  }

  /** False: it waits here already. */
  offer(arrival: Arrival): boolean {
    const key = keyOf(arrival.changeset)
    if (this.#onTheWay.has(key)) return false
    this.#onTheWay.add(key)
    this.#queue.push(arrival)
    this.#cost += costOf(arrival)
    while (this.#cost > this.#costMax && this.length > 1) {
      this.#next()
      this.#dropped += 1
    }
    return true
  }

  /** Takes changesets of about `cost` changes, oldest first. */
  take(cost: number): Arrival[] {
    const taken: Arrival[] = []
    for (let left = cost; left > 0 && this.length > 0; ) {
      const arrival = this.#next()
      left -= costOf(arrival)
      taken.push(arrival)
    }
    return taken
  }

  #next(): Arrival {
    const arrival = this.#queue[this.#at] as Arrival
    this.#at += 1
    this.#cost -= costOf(arrival)
    this.#onTheWay.delete(keyOf(arrival.changeset))
    if (this.#at > 1_024 && this.#at * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#at)
      this.#at = 0
    }
    return arrival
  }
}

const costOf = ({ changeset }: Arrival) => Math.max(COST_MIN, changeCount(changeset))

function keyOf(changeset: Changeset): string {
  const { actor } = changeset
  if (changeset.kind === 'empty') {
    return `${actor}-${changeset.versions.start}-${changeset.versions.end}`
  }
  return `${actor}/${changeset.version}/${changeset.seqs.start}/${changeset.seqs.end}`
}
