const NEWLINE = 10
const RETURN = 13

/** Bytes of one line; a longer one is told in pieces. */
export const LINE_BYTES_MAX = 8 << 10

/**
 * Cuts a stream of bytes into lines. No I/O. A line that does not end is kept until it does, until it is
 * too long, or until `flush`, which whoever owns the stream calls when it has been quiet for a while.
 */
export class LineSplitter {
  readonly #emit: (line: string) => void
  #held: Buffer[] = []
  #heldBytes = 0

  constructor(emit: (line: string) => void) {
    this.#emit = emit
  }

  /** Whether a line has begun that has not ended. */
  get isHolding(): boolean {
    return this.#heldBytes > 0
  }

  push(bytes: Buffer): void {
    let start = 0
    for (;;) {
      const end = bytes.indexOf(NEWLINE, start)
      if (end < 0) break
      this.#hold(bytes.subarray(start, end))
      this.flush(true)
      start = end + 1
    }
    if (start < bytes.length) this.#hold(bytes.subarray(start))
  }

  /** Gives what it holds as a line. @param isEnded also when that is empty: an empty line was written */
  flush(isEnded = false): void {
    if (this.#heldBytes === 0 && !isEnded) return
    const line = this.#held.length === 1 ? this.#held[0] : Buffer.concat(this.#held)
    this.#held = []
    this.#heldBytes = 0
    const bytes = line ?? Buffer.of()
    const trimmed = bytes.at(-1) === RETURN ? bytes.subarray(0, -1) : bytes
    this.#emit(trimmed.toString('utf8'))
  }

  #hold(bytes: Buffer): void {
    let rest = bytes
    while (this.#heldBytes + rest.length > LINE_BYTES_MAX) {
      const fits = characterBoundary(rest, LINE_BYTES_MAX - this.#heldBytes)
      this.#take(rest.subarray(0, fits))
      this.flush()
      rest = rest.subarray(fits)
    }
    if (rest.length > 0) this.#take(rest)
  }

  #take(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#held.push(Buffer.from(bytes)) // the stream's own buffer is used again
    this.#heldBytes += bytes.length
  }
}

/** At most `limit`, not within a character of UTF-8 (RFC 3629), if that can be helped. */
function characterBoundary(bytes: Buffer, limit: number): number {
  for (let at = limit; at > Math.max(0, limit - 4); at -= 1) {
    if (((bytes[at] ?? 0) & 0xc0) !== 0x80) return at
  }
  return limit
}
