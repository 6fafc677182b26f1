import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'

/** Randomness, injected, so that a simulation replays from its seed. */
export interface Random {
  /** Uniform in [0, 1), 32 bits of resolution or more. */
  next(): number
  /** Uniform integer in [0, bound). `bound` is a positive integer of at most 2^32. */
  int(bound: number): number
  /** `length` fresh bytes, owned by the caller. */
  bytes(length: number): Uint8Array
}

/** Cryptographically strong randomness of the machine. */
export const systemRandom: Random = {
  next: () => randomBytes(4).readUInt32BE() / 2 ** 32,
  int: (bound) => boundedInt(bound, () => randomBytes(4).readUInt32BE()),
  bytes: (length) => randomBytes(length),
}

/**
 * A reproducible generator (sfc32, Chris Doty-Humphrey's Small Fast Counting generator).
 * The same seed gives the same sequence on every machine. Not for secrets.
 */
export function seededRandom(seed: number): Random {
  assert(Number.isSafeInteger(seed), 'a seed is a safe integer')
  const high = Math.floor(seed / 2 ** 32) | 0
  const state = new Int32Array([0x9e3779b9 | 0, seed | 0, high, 1])
  const word = () => sfc32(state)
  for (let warmUp = 0; warmUp < 16; warmUp += 1) word()
  return {
    next: () => word() / 2 ** 32,
    int: (bound) => boundedInt(bound, word),
    bytes(length) {
      const bytes = new Uint8Array(length)
      for (let at = 0; at < length; at += 1) bytes[at] = word() & 0xff
      return bytes
    },
  }
}

function sfc32(state: Int32Array): number {
  const [a = 0, b = 0, c = 0, counter = 0] = state
  const out = (a + b + counter) | 0
  state[3] = (counter + 1) | 0
  state[0] = b ^ (b >>> 9)
  state[1] = (c + (c << 3)) | 0
  state[2] = (((c << 21) | (c >>> 11)) + out) | 0
  return out >>> 0
}

/** Rejects the top of the range, so that no value is likelier than another. */
function boundedInt(bound: number, word: () => number): number {
  assert(Number.isInteger(bound) && bound > 0 && bound <= 2 ** 32, 'bound out of range')
  const limit = 2 ** 32 - (2 ** 32 % bound)
  for (;;) {
    const drawn = word()
    if (drawn < limit) return drawn % bound
  }
}
