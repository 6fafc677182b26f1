import { Readable } from 'node:stream'

/**
 * One part of a stream as a Readable. What was moved into the Readable's own buffer counts as
 * consumed, so at most the window and one high-water mark wait for a slow reader.
 */
export class Output extends Readable {
  readonly #waiting: Buffer[] = []
  readonly #consumed: (bytes: number) => void
  #isWanted = false
  #isEnding = false

  constructor(consumed: (bytes: number) => void) {
    super({ highWaterMark: 65_536 })
    this.#consumed = consumed
  }

  /** True when the reader has taken every byte that has arrived. */
  get isRead(): boolean {
    return this.#waiting.length === 0 && this.readableLength === 0
  }

  deliver(bytes: Buffer): void {
    if (this.destroyed) {
      this.#consumed(bytes.length) // nobody reads: the guest must not wait
      return
    }
    this.#waiting.push(bytes)
    this.#feed()
  }

  endSoon(): void {
    this.#isEnding = true
    this.#feed()
  }

  override _read(): void {
    this.#isWanted = true
    this.#feed()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const bytes = this.#waiting.splice(0).reduce((sum, { length }) => sum + length, 0)
    if (bytes > 0) this.#consumed(bytes)
    done(error)
  }

  #feed(): void {
    while (this.#isWanted) {
      const bytes = this.#waiting.shift()
      if (bytes === undefined) break
      this.#isWanted = this.push(bytes)
      this.#consumed(bytes.length)
    }
    if (this.#isEnding && this.#waiting.length === 0 && !this.readableEnded) {
      this.#isEnding = false
      this.push(null)
    }
  }
}
