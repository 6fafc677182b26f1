import type { ServerResponse } from 'node:http'

/** Bytes that are gathered before they are written. */
const BATCH_BYTES = 65_536

/**
 * Writes lines to a response, gathered, and waits while the reader is behind. `closed` aborts when the reader
 * has gone.
 */
export class LineStream {
  readonly #response: ServerResponse
  readonly #gone = new AbortController()
  #batch = ''

  constructor(response: ServerResponse) {
    this.#response = response
    response.on('close', () => this.#gone.abort())
  }

  get closed(): AbortSignal {
    return this.#gone.signal
  }

  /** Takes a line (without its end). True when it is time to await `flush`. */
  add(line: string): boolean {
    this.#batch += `${line}\n`
    return this.#batch.length >= BATCH_BYTES
  }

  /** Resolves when the reader has room again, or has gone. */
  async flush(): Promise<void> {
    const batch = this.#batch
    this.#batch = ''
    if (batch === '' || this.#gone.signal.aborted) return
    if (this.#response.write(batch)) return
    await new Promise<void>((resolve) => {
      const done = () => {
        this.#response.off('drain', done)
        this.#response.off('close', done)
        resolve()
      }
      this.#response.once('drain', done)
      this.#response.once('close', done)
    })
  }

  async end(): Promise<void> {
    await this.flush()
    this.#response.end()
  }
}
