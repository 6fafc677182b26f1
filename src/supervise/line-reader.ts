import { StringDecoder } from 'node:string_decoder'

/** A line longer than this is given in pieces: nobody's output may fill our memory. */
export const LINE_CHARS_MAX = 8192

/** Cuts a stream of bytes into lines, at most LINE_CHARS_MAX characters each. */
export class LineReader {
  readonly #decoder = new StringDecoder('utf8')
  readonly #onLine: (line: string) => void
  #rest = ''

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine
  }

  push(bytes: Buffer): void {
    const lines = (this.#rest + this.#decoder.write(bytes)).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#give(line)
    while (this.#rest.length >= LINE_CHARS_MAX) {
      this.#onLine(this.#rest.slice(0, LINE_CHARS_MAX))
      this.#rest = this.#rest.slice(LINE_CHARS_MAX)
    }
  }

  /** The stream ended: what has no newline behind it is a line as well. */
  end(): void {
    const rest = this.#rest + this.#decoder.end()
    this.#rest = ''
    if (rest !== '') this.#give(rest)
  }

  #give(line: string): void {
    for (let at = 0; at === 0 || at < line.length; at += LINE_CHARS_MAX) {
      this.#onLine(line.slice(at, at + LINE_CHARS_MAX))
    }
  }
}
