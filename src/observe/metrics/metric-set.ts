import type { Figure, Labels, MetricFamily, MetricType, Series } from './metric-family.ts'
import { seriesKey } from './parse-metrics.ts'
import { matchesAny, type Selector } from './selector.ts'

export interface MetricSetOptions {
  /** What does not match any of them is not taken. Absent: all is. */
  readonly selectors?: readonly Selector[] | undefined
  /** Characters of the text; what comes after is left out, and counted. */
  readonly charsMax: number
}

interface HeldFamily {
  type: MetricType
  readonly lines: Map<string, string>
  readonly series: Series[]
}

/** Series of many origins, as one text. The first of two that are named alike stays. */
export class MetricSet {
  readonly #families = new Map<string, HeldFamily>()
  readonly #options: MetricSetOptions
  #chars = 0
  /** Series that found no room. */
  leftOut = 0

  constructor(options: MetricSetOptions) {
    this.#options = options
  }

  /** @param around put on each series, over what it says itself */
  addFigures(figures: Iterable<Figure>, around: Labels = NONE): void {
    for (const { name, type, value, labels = {} } of figures) {
      const all = new Map([...Object.entries(labels), ...around])
      this.#add(name, type, { name, labels: all, value: String(value) })
    }
  }

  /** @param around put on each series, over what it says itself */
  addFamilies(families: Iterable<MetricFamily>, around: Labels = NONE): void {
    for (const { name, type, series } of families) {
      for (const one of series) {
        const labels = around.size === 0 ? one.labels : new Map([...one.labels, ...around])
        this.#add(name, type, { ...one, labels })
      }
    }
  }

  families(): MetricFamily[] {
    return Array.from(this.#families, ([name, { type, series }]) => ({
      ...{ name, type, help: undefined, series },
    }))
  }

  /** Prometheus' text format, version 0.0.4. */
  text(): string {
    const lines: string[] = []
    for (const [name, { type, lines: own }] of this.#families) {
      lines.push(`# TYPE ${name} ${type}\n`)
      for (const line of own.values()) lines.push(line)
    }
    return lines.join('')
  }

  #add(family: string, type: MetricType, series: Series): void {
    const { selectors, charsMax } = this.#options
    if (selectors !== undefined && !matchesAny(selectors, series)) return
    const line = `${series.name}${labelsText(series.labels)} ${valueText(series.value)}\n`
    if (this.#chars + line.length > charsMax) {
      this.leftOut += 1
      return
    }
    const held = this.#familyOf(family, type)
    const key = seriesKey(series.name, series.labels)
    if (held.lines.has(key)) return
    held.lines.set(key, line)
    held.series.push(series)
    this.#chars += line.length
  }

  /** Where two origins call it different things, it is neither. */
  #familyOf(name: string, type: MetricType): HeldFamily {
    const known = this.#families.get(name)
    if (known === undefined) {
      const made: HeldFamily = { type, lines: new Map(), series: [] }
      this.#families.set(name, made)
      this.#chars += name.length + type.length + 9
      return made
    }
    if (known.type !== type) known.type = 'untyped'
    return known
  }
}

const NONE: Labels = new Map()

function labelsText(labels: Labels): string {
  if (labels.size === 0) return ''
  return `{${Array.from(labels, ([name, value]) => `${name}="${escaped(value)}"`).join(',')}}`
}

const escaped = (value: string) =>
  value.replace(/[\\"\n]/g, (letter) => (letter === '\n' ? '\\n' : `\\${letter}`))

/** JavaScript's word for it is none of the format's. */
const valueText = (value: string) => value.replace(/^([+-]?)Infinity$/, '$1Inf')
