import { randomBytes } from 'node:crypto'

const ALPHABET = Buffer.from('0123456789ABCDEFGHJKMNPQRSTVWXYZ')
const TIME_CHARS = 10
const ULID_CHARS = 26

/**
 * `<ULID>-<region>` for each request, as octets. Within a millisecond the random part counts up, as the
 * ULID specification's monotonic form does. HOT.
 */
export class RequestIds {
  readonly #template: Buffer
  #millisecond = 0

  constructor(region: string) {
    this.#template = Buffer.from(`${'0'.repeat(ULID_CHARS)}-${region}`)
  }

  get bytes(): number {
    return this.#template.length
  }

  /** Writes the next id at the start of `target`, which has `bytes` bytes. */
  writeNext(target: Buffer): void {
    const now = Date.now()
    if (now === this.#millisecond) this.#increment()
    else this.#restart(now)
    target.set(this.#template)
  }

  #restart(now: number): void {
    this.#millisecond = now
    let left = now
    for (let at = TIME_CHARS - 1; at >= 0; at -= 1) {
      const rest = Math.floor(left / 32)
      this.#template[at] = ALPHABET[left - rest * 32] as number
      left = rest
    }
    const random = nextRandom()
    for (let at = TIME_CHARS; at < ULID_CHARS; at += 1) {
      this.#template[at] = ALPHABET[(random[at - TIME_CHARS] as number) & 31] as number
    }
  }

  #increment(): void {
    for (let at = ULID_CHARS - 1; at >= TIME_CHARS; at -= 1) {
      const digit = ALPHABET.indexOf(this.#template[at] as number)
      if (digit < 31) {
        this.#template[at] = ALPHABET[digit + 1] as number
        return
      }
      this.#template[at] = ALPHABET[0] as number
    }
  }
}

const RANDOM_BYTES = ULID_CHARS - TIME_CHARS
let randomness = Buffer.alloc(0)
let randomAt = 0

function nextRandom(): Buffer {
  if (randomAt + RANDOM_BYTES > randomness.length) {
    randomness = randomBytes(RANDOM_BYTES * 256)
    randomAt = 0
  }
  randomAt += RANDOM_BYTES
  return randomness.subarray(randomAt - RANDOM_BYTES, randomAt)
}
