/** Tells a person what set-up does and how long it took: lines on standard error. */
export interface Report {
  /** Runs `work` as one step: a line before and, with the time it took, one after. */
  step<T>(doing: string, done: (result: T) => string, work: () => Promise<T>): Promise<T>
  note(text: string): void
}

export interface ReportOptions {
  readonly write: (text: string) => void
  /** Escape codes: only on a terminal, and never where NO_COLOR is set (no-color.org). */
  readonly colour: boolean
  /** A terminal: the line before a step gives way to the one after it. */
  readonly overwrite: boolean
  readonly monotonicMs: () => number
}

export function createReport({ write, colour, overwrite, monotonicMs }: ReportOptions): Report {
  const paint = (code: number, text: string) => (colour ? `\x1b[${code}m${text}\x1b[0m` : text)
  const head = paint(2, 'set-up:')
  return {
    async step(doing, done, work) {
      const startedMs = monotonicMs()
      const lasted = () => paint(2, `(${((monotonicMs() - startedMs) / 1000).toFixed(1)} s)`)
      const clear = overwrite ? '\r\x1b[K' : ''
      write(`${clear}${head} ${doing} ...${overwrite ? '' : '\n'}`)
      try {
        const result = await work()
        write(`${clear}${head} ${done(result)} ${lasted()}\n`)
        return result
      } catch (error) {
        write(`${clear}${head} ${paint(31, 'failed:')} ${doing} ${lasted()}\n`)
        throw error
      }
    },
    note: (text) => write(`${head} ${text}\n`),
  }
}
