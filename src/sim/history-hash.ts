// HOT: a few multiplications per event.

/**
 * A running fingerprint of a run: equal seeds must give equal hashes, so a difference means that
 * something outside the seed (the real clock, Math.random, iteration over addresses) leaked in.
 * Not cryptographic.
 */
export class HistoryHash {
  #low = 0x811c9dc5
  #high = 0x6c62272e
  readonly #double = new Float64Array(1)
  readonly #words = new Uint32Array(this.#double.buffer)

  /** Mixes a 32-bit integer. */
  mixInt(word: number): void {
    this.#low = Math.imul(this.#low ^ word, 0x01000193)
    this.#high = Math.imul((this.#high + this.#low) ^ (this.#low >>> 15), 0x85ebca6b)
  }

  /** Mixes any number, all 64 bits of it. */
  mixNumber(value: number): void {
    this.#double[0] = value
    this.mixInt(this.#words[0] as number)
    this.mixInt(this.#words[1] as number)
  }

  mixString(text: string): void {
    for (let at = 0; at < text.length; at += 1) this.mixInt(text.charCodeAt(at))
  }

  mixBytes(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += 1) this.mixInt(bytes[at] as number)
  }

  /** 16 hexadecimal digits. */
  digest(): string {
    const hex = (word: number) => (word >>> 0).toString(16).padStart(8, '0')
    return hex(this.#high) + hex(this.#low)
  }
}
