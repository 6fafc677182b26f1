import type { Random } from '#base'

/** One finished request, as a line of JSON. */
export interface AccessEntry {
  readonly time: string
  readonly app: string
  readonly client: string
  readonly method: string
  readonly host: string
  readonly target: string
  readonly status: number
  readonly machine: string
  readonly code: string
  readonly requestId: string
  readonly elapsedMs: number
  readonly sentBytes: number
  readonly receivedBytes: number
}

/** Lines that wait to be written; more are dropped and counted. */
const WAITING_LINES_MAX = 10_000

/** Writes a sample of requests. Never waits for its destination: what does not fit is dropped. */
export class AccessLog {
  readonly #ratio: number
  readonly #random: Random
  readonly #write: (text: string, done: () => void) => void
  #lines: string[] = []
  #isWriting = false
  droppedLines = 0

  /** @param options ratio: 1 logs all, 0.01 every hundredth on average. */
  constructor(options: {
    ratio: number
    random: Random
    write: (text: string, done: () => void) => void
  }) {
    this.#ratio = options.ratio
    this.#random = options.random
    this.#write = options.write
  }

  /** Whether the request that begins now is among the sample. */
  samples(): boolean {
    return this.#ratio >= 1 || this.#random.next() < this.#ratio
  }

  add(entry: AccessEntry): void {
    if (this.#lines.length >= WAITING_LINES_MAX) {
      this.droppedLines += 1
      return
    }
    this.#lines.push(JSON.stringify(entry))
    if (this.#isWriting) return
    this.#isWriting = true
    setImmediate(() => this.#flush())
  }

  #flush(): void {
    const text = `${this.#lines.join('\n')}\n`
    this.#lines = []
    this.#write(text, () => {
      if (this.#lines.length > 0) this.#flush()
      else this.#isWriting = false
    })
  }
}
