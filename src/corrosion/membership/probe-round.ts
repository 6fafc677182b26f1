import type { Random } from '#base'

/**
 * The order in which members are probed: each once, in random order, then anew. So a member is probed
 * by this node at least once in two rounds, which bounds the time to find a dead one.
 * Source: SWIM, section 4.3.
 */
export class ProbeRound {
  readonly #random: Random
  #left: string[] = []

  constructor(random: Random) {
    this.#random = random
  }

  /** The next one of `isCandidate`; undefined when `all` has none. */
  next(all: Iterable<string>, isCandidate: (id: string) => boolean): string | undefined {
    const fromThisRound = this.#draw(isCandidate)
    if (fromThisRound !== undefined) return fromThisRound
    this.#left = shuffled([...all], this.#random)
    return this.#draw(isCandidate)
  }

  #draw(isCandidate: (id: string) => boolean): string | undefined {
    for (let id = this.#left.pop(); id !== undefined; id = this.#left.pop()) {
      if (isCandidate(id)) return id
    }
    return undefined
  }
}

/** Fisher-Yates, in place. */
export function shuffled<T>(items: T[], random: Random): T[] {
  for (let last = items.length - 1; last > 0; last -= 1) {
    const other = random.int(last + 1)
    const moved = items[last] as T
    items[last] = items[other] as T
    items[other] = moved
  }
  return items
}
