import { BirdError } from './errors.ts'

/**
 * The reply half of BIRD's control protocol. Source: BIRD programmer's documentation,
 * "Command line interface".
 *
 * A reply is lines of `CCCC-text` (more follow) and ends with one of `CCCC text`; a line that begins
 * with a blank continues the code before it; one that begins with `+` is an asynchronous log line.
 * Codes: 0xxx done, 1xxx table entry, 2xxx blank table head, 8xxx runtime error, 9xxx syntax error.
 */
export interface BirdReply {
  /** Code of the closing line. */
  readonly code: number
  readonly lines: readonly { readonly code: number; readonly text: string }[]
}

/** A reply longer than this is not one that BIRD gives to the commands used here. */
export const REPLY_BYTES_MAX = 16 << 20

/** Collects bytes of one connection and gives complete replies, in order. */
export class ReplyParser {
  #pending = ''
  #lines: { code: number; text: string }[] = []

  /** @throws BirdError bird.reply_bad: the peer does not speak BIRD's protocol; close it. */
  push(chunk: string): BirdReply[] {
    this.#pending += chunk
    if (this.#pending.length > REPLY_BYTES_MAX) throw bad('line too long', REPLY_BYTES_MAX)
    const replies: BirdReply[] = []
    const lines = this.#pending.split('\n')
    this.#pending = lines.pop() ?? ''
    for (const line of lines) {
      const closing = this.#take(line)
      if (closing === undefined) continue
      replies.push({ code: closing, lines: this.#lines })
      this.#lines = []
    }
    return replies
  }

  /** The code when this line closes the reply. */
  #take(line: string): number | undefined {
    if (line.startsWith('+')) return undefined
    const last = this.#lines.at(-1)
    if (line.startsWith(' ')) {
      if (last === undefined) throw bad('continuation of nothing', line)
      this.#lines.push({ code: last.code, text: line.slice(1) })
      return undefined
    }
    const match = /^(\d{4})([ -])(.*)$/.exec(line)
    if (match === null) throw bad('line without a code', line)
    const code = Number(match[1])
    this.#lines.push({ code, text: match[3] ?? '' })
    return match[2] === ' ' ? code : undefined
  }
}

function bad(what: string, value: string | number): BirdError {
  return new BirdError('bird.reply_bad', { what: `not a BIRD reply: ${what}`, values: { value } })
}
