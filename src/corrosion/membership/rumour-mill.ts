import type { Rumour } from './member.ts'

interface Spread {
  readonly rumour: Rumour
  sentCount: number
}

/**
 * Rumours that are still to be told. Each is told a number of times that grows with the logarithm of
 * the cluster, the least told first, bad news before good, and a newer one about a member replaces the older one.
 * Bounded by the number of members: there is one rumour a member at most.
 */
export class RumourMill {
  readonly #spreads = new Map<string, Spread>()

  get size(): number {
    return this.#spreads.size
  }

  add(rumour: Rumour): void {
    this.#spreads.delete(rumour.identity.id) // fresh ones stand at the end of the map
    this.#spreads.set(rumour.identity.id, { rumour, sentCount: 0 })
  }

  /** Up to `countMax` rumours for one packet, each counted as told once more. */
  take(countMax: number, tellsMax: number): Rumour[] {
    if (this.#spreads.size === 0) return []
    const chosen = leastTold(this.#spreads, countMax)
    for (const spread of chosen) {
      spread.sentCount += 1
      if (spread.sentCount >= tellsMax) this.#spreads.delete(spread.rumour.identity.id)
    }
    return chosen.map(({ rumour }) => rumour)
  }
}

function leastTold(spreads: ReadonlyMap<string, Spread>, countMax: number): Spread[] {
  const all = [...spreads.values()]
  if (all.length > countMax) all.sort(byUrgency)
  return all.slice(0, countMax)
}

/** Bad news has somebody waiting for it; that a node lives is seldom urgent. */
function byUrgency(a: Spread, b: Spread): number {
  return a.sentCount - b.sentCount || Number(isGood(a)) - Number(isGood(b))
}

const isGood = ({ rumour }: Spread) => rumour.health === 'alive'
