import { type Random, seededRandom } from '#base'

const FNV_PRIME = 0x01000193

/**
 * The seed of a sub-stream: one per concern and node, so that one more draw in one place leaves
 * every other place as it was. Labels are hashed with FNV-1a in two lanes, each finished with
 * the mixer of MurmurHash3.
 *
 * @returns an integer in [0, 2^53).
 */
export function deriveSeed(rootSeed: number, ...labels: readonly (string | number)[]): number {
  let low = 0x811c9dc5
  let high = 0x9e3779b9
  const mix = (word: number) => {
    low = Math.imul(low ^ word, FNV_PRIME)
    high = Math.imul(high ^ (word + 0x7f4a7c15), FNV_PRIME)
  }
  mix(rootSeed | 0)
  mix(Math.floor(rootSeed / 2 ** 32) | 0)
  for (const label of labels) {
    const text = String(label)
    mix(text.length) // so that ('ab', 'c') and ('a', 'bc') differ
    for (let at = 0; at < text.length; at += 1) mix(text.charCodeAt(at))
  }
  return (finish(high) & 0x1fffff) * 2 ** 32 + finish(low)
}

/** The sub-stream itself: `randomStream(seed, 'latency', nodeId)`. */
export function randomStream(rootSeed: number, ...labels: readonly (string | number)[]): Random {
  return seededRandom(deriveSeed(rootSeed, ...labels))
}

/** A waiting time of a process without memory, such as faults that come `meanMs` apart. */
export function exponentialMs(random: Random, meanMs: number): number {
  return -Math.log(1 - random.next()) * meanMs
}

function finish(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
