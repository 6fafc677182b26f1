import { ResponseHead } from '../http1/response-head.ts'
import type { ResponseFacts } from '../route.ts'

/** What a lease may ask about a response. One for all exchanges of the process: it holds during the call only. */
class ResponseQuestion implements ResponseFacts {
  #head = new ResponseHead()
  status = 0
  canReplay = false

  /** HOT. */
  of(head: ResponseHead, canReplay: boolean): this {
    this.#head = head
    this.status = head.status
    this.canReplay = canReplay
    return this
  }

  header(name: string): string | undefined {
    if (name.startsWith('fly-replay') && !this.#head.hasReplay) return undefined
    return this.#head.lines.find(name)
  }
}

export const responseQuestion = new ResponseQuestion()
