/**
 * What a NATS client sends, read from pieces of its stream. No I/O.
 * Source: NATS documentation, "Client Protocol".
 */
import { ObserveError } from '../errors.ts'

export type ClientCommand =
  | { readonly verb: 'CONNECT'; readonly options: ConnectOptions }
  | { readonly verb: 'PING' | 'PONG' }
  | {
      readonly verb: 'SUB'
      readonly subject: string
      readonly queue: string | undefined
      readonly sid: string
    }
  /** `max`: it ends by itself after so many messages, those before among them. */
  | { readonly verb: 'UNSUB'; readonly sid: string; readonly max: number | undefined }
  /** What it would say to others; the payload is left out. */
  | { readonly verb: 'PUB'; readonly subject: string }

export interface ConnectOptions {
  readonly user: string
  readonly pass: string
  readonly isVerbose: boolean
}

/** A line of a client; the tokens of many organisations may stand in one. */
export const LINE_BYTES_MAX = 64 << 10
export const PAYLOAD_BYTES_MAX = 1 << 20
const LINE_FEED = 0x0a

/** One client's stream. Pieces may end anywhere; what it holds is bounded by one line. */
export class ClientReader {
  #rest: Buffer = Buffer.alloc(0)
  /** Of a payload that nobody reads, and its line's end. */
  #skipBytes = 0

  #command(line: string): ClientCommand {
    const [, word = '', rest = ''] = /^([A-Za-z]+)\s*(.*)$/s.exec(line) ?? []
    const verb = word.toUpperCase()
    const words = rest.split(/[ \t]+/).filter((one) => one !== '')
    if (verb === 'CONNECT') return { verb, options: connectOptions(rest) }
    if (verb === 'PING' || verb === 'PONG') return { verb }
    if (verb === 'SUB') return subscribe(words)
    if (verb === 'UNSUB') return unsubscribe(words)
    if (verb === 'PUB' || verb === 'HPUB') return this.#publish(words)
    throw bad('Unknown Protocol Operation')
  }

  /** The commands that are whole now. @throws ObserveError observe.protocol_bad: close the stream */
  *push(piece: Buffer): Generator<ClientCommand> {
    this.#rest = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece])
    while (true) {
      const skipped = Math.min(this.#skipBytes, this.#rest.length)
      this.#skipBytes -= skipped
      this.#rest = this.#rest.subarray(skipped)
      const end = this.#rest.indexOf(LINE_FEED)
      if (end < 0 ? this.#rest.length > LINE_BYTES_MAX : end > LINE_BYTES_MAX) {
        throw bad('Maximum Control Line Exceeded')
      }
      if (end < 0) return
      const line = this.#rest.subarray(0, end).toString().replace(/\r$/, '')
      this.#rest = this.#rest.subarray(end + 1)
      if (line !== '') yield this.#command(line)
    }
  }

  #publish(words: readonly string[]): ClientCommand {
    const [subject] = words
    const bytes = Number(words.at(-1))
    if (subject === undefined || words.length < 2 || !Number.isSafeInteger(bytes) || bytes < 0) {
      throw bad('Parser Error')
    }
    if (bytes > PAYLOAD_BYTES_MAX) throw bad('Maximum Payload Violation')
    this.#skipBytes = bytes // the end of its line reads as an empty one
    return { verb: 'PUB', subject }
  }
}

function connectOptions(text: string): ConnectOptions {
  let read: unknown
  try {
    read = JSON.parse(text)
  } catch (cause) {
    throw bad('Parser Error', cause)
  }
  if (typeof read !== 'object' || read === null) throw bad('Parser Error')
  const { user, pass, verbose } = read as Record<string, unknown>
  const textOf = (value: unknown) => (typeof value === 'string' ? value : '')
  return { user: textOf(user), pass: textOf(pass), isVerbose: verbose === true }
}

function subscribe(words: readonly string[]): ClientCommand {
  const [subject = '', second = '', third] = words
  if (words.length < 2 || words.length > 3) throw bad('Parser Error')
  const [queue, sid] = third === undefined ? [undefined, second] : [second, third]
  return { verb: 'SUB', subject, queue, sid }
}

function unsubscribe(words: readonly string[]): ClientCommand {
  const [sid = '', count] = words
  const max = count === undefined ? undefined : Number(count)
  if (sid === '' || words.length > 2) throw bad('Parser Error')
  if (max !== undefined && !Number.isSafeInteger(max)) throw bad('Parser Error')
  return { verb: 'UNSUB', sid, max: max === undefined || max <= 0 ? undefined : max }
}

/** @param why as nats-server words it */
const bad = (why: string, cause?: unknown) =>
  new ObserveError('observe.protocol_bad', {
    what: why,
    fix: 'speak the client protocol of NATS, as its libraries do',
    cause,
  })
