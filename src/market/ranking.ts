import assert from 'node:assert/strict'
import type { Random } from '#base'
import type { Bid } from './bid.ts'
import { MarketError } from './errors.ts'

/**
 * How desirable a host is by how full one resource of it would be: 0 points at `low`, rising in a
 * straight line to 1 at `high`, then in a straight line to `full` at 100 %. Below `low`: 0 points.
 */
export interface Marks {
  /** 0 to 1, below `high`. */
  readonly low: number
  /** 0 to 1. */
  readonly high: number
  /** Points at 100 %. */
  readonly full: number
}

export interface RankingOptions {
  readonly marks: { readonly cpu: Marks; readonly memory: Marks; readonly volume: Marks }
  /** Points are multiplied by these and added. 0 switches a concern off. */
  readonly weights: {
    readonly cpu: number
    readonly memory: number
    /** Counts only for placements that bring a volume. */
    readonly volume: number
    /** Against hosts with machines of the same app: half for one, two thirds for two, ... */
    readonly spread: number
    /** For hosts that have the image. */
    readonly image: number
  }
}

/**
 * Best fit: full hosts first, so that whole hosts stay free for large machines; yet not to the brim
 * of the processor and the disk, where neighbours are felt and volumes can grow no more.
 */
export const DEFAULT_RANKING: RankingOptions = {
  marks: {
    cpu: { low: 0, high: 0.85, full: 0.5 },
    memory: { low: 0, high: 0.95, full: 0.9 },
    volume: { low: 0, high: 0.8, full: 0 },
  },
  weights: { cpu: 1, memory: 1, volume: 1, spread: 1, image: 0.2 },
}

/** Linear interpolation between the marks. */
export function points(utilisation: number, { low, high, full }: Marks): number {
  if (utilisation <= low) return 0
  if (utilisation <= high) return (utilisation - low) / (high - low)
  if (utilisation >= 1) return full
  return 1 + ((full - 1) * (utilisation - high)) / (1 - high)
}

/** The higher, the better. The fit is the weighted mean of the resources, so between 0 and 1. */
export function score(bid: Bid, { marks, weights }: RankingOptions, withVolume: boolean): number {
  const { cpu, memory, volume } = bid.utilisation
  const volumeWeight = withVolume ? weights.volume : 0
  const sum =
    weights.cpu * points(cpu, marks.cpu) +
    weights.memory * points(memory, marks.memory) +
    volumeWeight * points(volume, marks.volume)
  const weight = weights.cpu + weights.memory + volumeWeight
  const fit = weight === 0 ? 0 : sum / weight
  const crowd = bid.appMachines / (bid.appMachines + 1)
  return fit - weights.spread * crowd + (bid.hasImage ? weights.image : 0)
}

/** Which bid is taken next. */
export type Choose = (bids: readonly Bid[], withVolume: boolean, random: Random) => Bid

/**
 * The bid with the most points; among equals any, so that two placers do not meet at one host.
 *
 * @throws MarketError market.limits_bad: marks that do not rise, a weight below 0.
 */
export function chooseBest(options: RankingOptions = DEFAULT_RANKING): Choose {
  checkRanking(options)
  return (bids, withVolume, random) => {
    let best: Bid | undefined
    let bestScore = -Infinity
    let equals = 0
    for (const bid of bids) {
      const own = score(bid, options, withVolume)
      if (own < bestScore) continue
      equals = own > bestScore ? 1 : equals + 1
      bestScore = own
      if (equals === 1 || random.int(equals) === 0) best = bid
    }
    assert(best !== undefined, 'there is a bid to choose from')
    return best
  }
}

/** The baseline that best fit is measured against. */
export const chooseAny: Choose = (bids, _withVolume, random) => {
  const bid = bids[random.int(bids.length)]
  assert(bid !== undefined, 'there is a bid to choose from')
  return bid
}

function checkRanking({ marks, weights }: RankingOptions): void {
  for (const [resource, { low, high, full }] of Object.entries(marks)) {
    if (0 <= low && low < high && high <= 1 && Number.isFinite(full)) continue
    throw new MarketError('market.limits_bad', {
      what: 'marks of the ranking that do not rise',
      values: { resource, low, high, full },
      fix: 'the rule is: 0 <= low < high <= 1',
    })
  }
  for (const [concern, weight] of Object.entries(weights)) {
    if (weight >= 0 && weight < Infinity) continue
    throw new MarketError('market.limits_bad', {
      what: 'a weight of the ranking below 0',
      values: { concern, weight },
      fix: 'use 0 to switch a concern off',
    })
  }
}
