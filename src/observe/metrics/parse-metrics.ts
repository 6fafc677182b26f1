import { ObserveError } from '../errors.ts'
import {
  endingsOf,
  type Labels,
  type MetricFamily,
  type MetricType,
  type Series,
} from './metric-family.ts'

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*/
const TYPES: ReadonlySet<string> = new Set(['counter', 'gauge', 'histogram', 'summary', 'untyped'])
const NUMBER = /^[+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|inf|infinity|nan)$/i
const LABELS_MAX = 64
/** Of a name or a value of a label. */
const TEXT_CHARS_MAX = 4_096
/** Read at one go: whoever shares this process waits no longer than for these. */
const LINES_AT_ONCE = 2_000

export interface ParseOptions {
  readonly signal?: AbortSignal
  /** @default 200,000 */
  readonly seriesMax?: number
}

const SERIES_MAX = 200_000

/**
 * Reads Prometheus' text format, version 0.0.4, as anybody may have written it. Times that stand behind values
 * are left out: whoever asks, asks now.
 *
 * @throws ObserveError observe.metrics_bad, with the number of the line; the signal's reason
 */
export async function parseMetrics(
  text: string,
  { signal, seriesMax = SERIES_MAX }: ParseOptions = {},
): Promise<MetricFamily[]> {
  const reader = new Reader(seriesMax)
  let number = 0
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf('\n', at)
    const line = text.slice(at, end < 0 ? text.length : end)
    at = end < 0 ? text.length : end + 1
    number += 1
    reader.take(line.endsWith('\r') ? line.slice(0, -1) : line, number)
    if (number % LINES_AT_ONCE !== 0) continue
    signal?.throwIfAborted()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return reader.families
}

interface OpenFamily {
  readonly name: string
  type: MetricType
  help: string | undefined
  readonly series: Series[]
}

class Reader {
  readonly #families = new Map<string, OpenFamily>()
  readonly #seriesMax: number
  #current: OpenFamily | undefined
  #count = 0

  constructor(seriesMax: number) {
    this.#seriesMax = seriesMax
  }

  get families(): MetricFamily[] {
    return [...this.#families.values()].filter(({ series }) => series.length > 0)
  }

  take(line: string, number: number): void {
    const start = skipBlanks(line, 0)
    if (start === line.length) return
    if (line[start] === '#') {
      this.#comment(line.slice(start + 1), number)
      return
    }
    this.#count += 1
    if (this.#count > this.#seriesMax) throw bad(number, `more than ${this.#seriesMax} series`)
    const series = parseSeries(line, start, number)
    this.#familyOf(series.name).series.push(series)
  }

  #comment(text: string, number: number): void {
    const [, word, name = '', rest = ''] =
      /^[ \t]*(HELP|TYPE)[ \t]+([^ \t]+)[ \t]*(.*)$/.exec(text) ?? []
    if (word === undefined) return
    if (NAME.exec(name)?.[0] !== name) throw bad(number, 'the name of a metric is bad')
    const family = this.#named(name)
    this.#current = family
    if (word === 'HELP') family.help = rest.slice(0, TEXT_CHARS_MAX)
    else if (TYPES.has(rest.trim())) family.type = rest.trim() as MetricType
    else throw bad(number, 'the type of a metric is none')
  }

  #familyOf(name: string): OpenFamily {
    const current = this.#current
    if (current !== undefined) {
      const isOfIt = endingsOf(current.type).some((ending) => name === `${current.name}${ending}`)
      if (isOfIt) return current
    }
    return this.#named(name)
  }

  #named(name: string): OpenFamily {
    const known = this.#families.get(name)
    if (known !== undefined) return known
    const made: OpenFamily = { name, type: 'untyped', help: undefined, series: [] }
    this.#families.set(name, made)
    return made
  }
}

function parseSeries(line: string, start: number, number: number): Series {
  const name = NAME.exec(line.slice(start, start + TEXT_CHARS_MAX))?.[0]
  if (name === undefined) throw bad(number, 'a line begins with no name of a metric')
  let at = skipBlanks(line, start + name.length)
  const labels = new Map<string, string>()
  if (line[at] === '{') at = parseLabels(line, at + 1, labels, number)
  const [value = '', time, ...more] = line
    .slice(at)
    .split(/[ \t]+/)
    .filter((word) => word !== '')
  const isWhole = more.length === 0 && (time === undefined || /^-?\d+$/.test(time))
  if (!NUMBER.test(value) || !isWhole) throw bad(number, 'a value is no number')
  return { name, labels, value }
}

/** @returns the place behind the closing brace */
function parseLabels(
  line: string,
  from: number,
  labels: Map<string, string>,
  number: number,
): number {
  let at = skipBlanks(line, from)
  while (line[at] !== '}') {
    const name = LABEL_NAME.exec(line.slice(at, at + TEXT_CHARS_MAX))?.[0]
    if (name === undefined) throw bad(number, 'the name of a label is bad')
    if (labels.has(name)) throw bad(number, `label ${name} stands there twice`)
    if (labels.size >= LABELS_MAX) throw bad(number, `more than ${LABELS_MAX} labels`)
    at = skipBlanks(line, at + name.length)
    if (line[at] !== '=') throw bad(number, 'a label has no value')
    at = skipBlanks(line, at + 1)
    const quoted = QUOTED.exec(line.slice(at))?.[0]
    if (quoted === undefined) throw bad(number, "a label's value is not in quotes")
    if (quoted.length > TEXT_CHARS_MAX) throw bad(number, "a label's value is too long")
    labels.set(name, unescaped(quoted.slice(1, -1)))
    at = skipBlanks(line, at + quoted.length)
    if (line[at] === ',') at = skipBlanks(line, at + 1)
    else if (line[at] !== '}') throw bad(number, 'labels are not closed')
  }
  return at + 1
}

const QUOTED = /^"(?:[^"\\]|\\.)*"/

const unescaped = (text: string) =>
  text.includes('\\')
    ? text.replace(/\\(.)/g, (all, letter: string) =>
        letter === 'n' ? '\n' : letter === '\\' || letter === '"' ? letter : all,
      )
    : text

function skipBlanks(line: string, from: number): number {
  let at = from
  while (line[at] === ' ' || line[at] === '\t') at += 1
  return at
}

const bad = (line: number, what: string) =>
  new ObserveError('observe.metrics_bad', { what, values: { line } })

/** A series' identity: its name and all labels, whatever their order. */
export const seriesKey = (name: string, labels: Labels): string =>
  JSON.stringify([name, ...[...labels].sort(([a], [b]) => (a < b ? -1 : 1))])
