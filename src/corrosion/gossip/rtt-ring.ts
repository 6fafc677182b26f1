/** Upper bounds of the rings, milliseconds of round trip. */
const BOUNDS_MS = [6, 15, 50, 100, 200] as const
/** A sample this little beyond a bound does not move a peer. */
const HYSTERESIS_MS = 2
const SAMPLES_MAX = 20

/** The ring of peers that are next door: they are told first. */
export const NEAR_RING = 0
export const FAR_RING = BOUNDS_MS.length

/** How far away a peer is: 0 (below 6 ms) to 5 (200 ms and more), from the least of its last round trips. */
export class RttRing {
  readonly #samples: number[] = []
  #ring: number | undefined

  /** undefined before the first sample. */
  get ring(): number | undefined {
    return this.#ring
  }

  get minMs(): number | undefined {
    return this.#samples.length === 0 ? undefined : Math.min(...this.#samples)
  }

  add(rttMs: number): void {
    this.#samples.push(rttMs)
    if (this.#samples.length > SAMPLES_MAX) this.#samples.shift()
    const least = Math.min(...this.#samples)
    if (this.#ring === undefined) this.#ring = ringOf(least)
    else if (ringOf(least - HYSTERESIS_MS) > this.#ring) this.#ring += 1
    else if (ringOf(least + HYSTERESIS_MS) < this.#ring) this.#ring -= 1
  }
}

function ringOf(rttMs: number): number {
  const ring = BOUNDS_MS.findIndex((bound) => rttMs < bound)
  return ring < 0 ? FAR_RING : ring
}
