import type { Duplex } from 'node:stream'
import type { BackhaulStream } from '../backhaul/dialer.ts'
import { ResetReason, type StreamHandlers, WINDOW_BYTES } from '../backhaul/link-stream.ts'

/** A connection within this process as a stream of the backhaul: what leads to another host and what does not are one. */
export class LocalStream implements BackhaulStream {
  readonly #far: Duplex
  readonly #handlers: StreamHandlers
  #unreadBytes = 0
  #hasEnded = false
  #isOver = false

  constructor(far: Duplex, handlers: StreamHandlers) {
    this.#far = far
    this.#handlers = handlers
    // Its user has not begun yet.
    setImmediate(() => {
      if (!this.#isOver) this.#begin()
    })
    far.on('error', () => this.#broke())
    far.on('close', () => this.#broke())
  }

  #begin(): void {
    this.#handlers.accepted?.(0, 0)
    this.#far.on('data', (chunk: Buffer) => {
      this.#unreadBytes += chunk.length
      if (this.#unreadBytes >= WINDOW_BYTES) this.#far.pause()
      this.#handlers.data(chunk)
    })
    this.#far.on('end', () => {
      this.#hasEnded = true
      if (!this.#isOver) this.#handlers.ended(false)
    })
    this.#far.on('drain', () => this.#isOver || this.#handlers.drained())
  }

  send(chunk: Buffer): boolean {
    return this.#far.write(chunk)
  }

  end(): void {
    this.#far.end()
  }

  reset(): void {
    this.#isOver = true
    this.#far.destroy()
  }

  consumed(bytes: number): void {
    this.#unreadBytes -= bytes
    if (this.#unreadBytes < WINDOW_BYTES / 2 && this.#far.isPaused()) this.#far.resume()
  }

  #broke(): void {
    if (this.#isOver || this.#hasEnded) return
    this.#isOver = true
    this.#handlers.reset(ResetReason.broken)
  }
}
