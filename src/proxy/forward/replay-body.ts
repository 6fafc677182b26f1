import type { Memory } from '../net/memory.ts'
import { REPLAY_BODY_BYTES_MAX } from '../route.ts'

const NO_BYTES = Buffer.alloc(0)

/** The body of a response that says in JSON where its request goes instead. */
export class ReplayBody {
  #bytes: Buffer = NO_BYTES

  /** @returns false when it is more than such a body may have: REPLAY_BODY_BYTES_MAX */
  add(memory: Memory, start: number, length: number): boolean {
    if (this.#bytes.length + length > REPLAY_BODY_BYTES_MAX) return false
    this.#bytes = Buffer.concat([this.#bytes, memory.bytes.subarray(start, start + length)])
    return true
  }

  /** All that came; it begins anew. */
  take(): Buffer {
    const bytes = this.#bytes
    this.#bytes = NO_BYTES
    return bytes
  }
}
