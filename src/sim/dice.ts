// HOT: drawn from for every message. A thousand generators of #base, each a few objects deep,
// cost more in cache misses than all the rest of a delivery: here a generator is 16 bytes.
import { randomStream } from './random-stream.ts'

const WORDS = 4

/**
 * Many independent generators (sfc32, as #base's `seededRandom`) side by side in one array, each
 * with its own seed.
 */
export class DiceTable {
  readonly #rootSeed: number
  #state = new Int32Array(64 * WORDS)
  #count = 0

  constructor(rootSeed: number) {
    this.#rootSeed = rootSeed
  }

  /** @returns the index of a new generator, counted from 0. */
  add(...labels: readonly (string | number)[]): number {
    const at = this.#count * WORDS
    if (at === this.#state.length) {
      const larger = new Int32Array(at * 2)
      larger.set(this.#state)
      this.#state = larger
    }
    const seed = randomStream(this.#rootSeed, ...labels)
    for (let word = 0; word < WORDS; word += 1) this.#state[at + word] = seed.int(2 ** 32)
    this.#count += 1
    return this.#count - 1
  }

  /** Uniform in [0, 1). */
  next(generator: number): number {
    const state = this.#state
    const at = generator * WORDS
    const a = state[at] as number
    const b = state[at + 1] as number
    const c = state[at + 2] as number
    const counter = state[at + 3] as number
    const out = (a + b + counter) | 0
    state[at] = b ^ (b >>> 9)
    state[at + 1] = (c + (c << 3)) | 0
    state[at + 2] = (((c << 21) | (c >>> 11)) + out) | 0
    state[at + 3] = (counter + 1) | 0
    return (out >>> 0) / 2 ** 32
  }
}
