import { BodyReader } from '../http1/body-reader.ts'
import { Fault } from '../http1/fault.ts'
import type { RequestHead } from '../http1/request-head.ts'
import { Framing } from '../http1/response-head.ts'
import { cleanTrailer } from '../http1/trailer.ts'
import type { ProxyLimits } from './limits.ts'

/** The body of a client's request: where it ends, and whether it comes at the pace that it must. Reused after `begin`. */
export class RequestBody {
  readonly #reader = new BodyReader()
  #startMs = 0
  #bytes = 0
  /** Of a body that is done; without what must not be handed on. */
  trailer: Buffer | undefined

  begin(head: RequestHead, nowMs: number): void {
    this.#startMs = nowMs
    this.#bytes = 0
    this.trailer = undefined
    this.#reader.begin(head.isChunked ? Framing.chunked : Framing.length, head.contentLength)
  }

  get isDone(): boolean {
    return this.#reader.isDone
  }

  /** The last `read` used up to here. */
  get consumed(): number {
    return this.#reader.consumed
  }

  /** Reads bytes[start, end). @returns how many bytes of data stand at `start`, or a Fault. HOT. */
  read(bytes: Uint8Array, start: number, end: number): number {
    const reader = this.#reader
    const count = reader.read(bytes, start, end)
    if (count < 0) return count
    this.#bytes += count
    if (!reader.isDone || reader.trailer === undefined) return count
    const cleaned = cleanTrailer(reader.trailer)
    if (typeof cleaned === 'number') return Fault.trailer
    this.trailer = cleaned
    return count
  }

  isTooSlow(nowMs: number, { bodyGraceMs, bodyBytesPerSecondMin }: ProxyLimits): boolean {
    const elapsedMs = nowMs - this.#startMs
    if (elapsedMs < bodyGraceMs) return false
    return this.#bytes < ((elapsedMs - bodyGraceMs) * bodyBytesPerSecondMin) / 1000
  }
}
