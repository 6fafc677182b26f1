import {
  addVary,
  type Coding,
  chooseCoding,
  encodeHead,
  isCompressible,
  takeNone,
} from '../http1/content-coding.ts'
import { Framing, type ResponseHead } from '../http1/response-head.ts'
import type { ResponseRules } from '../route.ts'
import type { Downstream } from './downstream.ts'
import { EncodedResponse } from './encoded-response.ts'
import type { Engine } from './engine.ts'

/** `http_options.compress`: which responses of one client are encoded, and the one that is. */
export class Compression {
  readonly #engine: Engine
  readonly #client: Downstream
  readonly #onDrain: () => void
  #coding: Coding | undefined
  #encoded: EncodedResponse | undefined

  /** @param onDrain data is taken again */
  constructor(engine: Engine, client: Downstream, onDrain: () => void) {
    this.#engine = engine
    this.#client = client
    this.#onDrain = onDrain
  }

  /** @param accepted what the client of the next request says in Accept-Encoding */
  begin(accepted: string | undefined): void {
    this.#coding = chooseCoding(accepted)
  }

  /** Changes a final head into what the client gets. @returns who is told it, and all that follows */
  responseTo(head: ResponseHead, rules: ResponseRules): Downstream {
    const isForbidden = takeNone(head) || rules.headers.has('content-encoding')
    if (isForbidden || !isCompressible(head)) return this.#client
    addVary(head)
    const { counters, limits } = this.#engine
    const coding = this.#coding
    if (coding === undefined || counters.compressionsActive >= limits.compressionsMax)
      return this.#client
    const encoded = new EncodedResponse(this.#engine, this.#client, {
      coding,
      isStream: head.framing !== Framing.length,
      onDrain: this.#onDrain,
      onEnd: () => {
        this.#encoded = undefined
      },
    })
    encodeHead(head, coding)
    this.#encoded = encoded
    return encoded
  }

  /** The client takes more of the response. */
  clientDrained(): void {
    this.#encoded?.clientDrained()
  }

  /** Nobody wants the rest. */
  cancel(): void {
    this.#encoded?.cancel()
  }
}
