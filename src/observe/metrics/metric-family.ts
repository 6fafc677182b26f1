/** Figures as Prometheus knows them. Source: its data model, and its text format, version 0.0.4. */
export type MetricType = 'counter' | 'gauge' | 'histogram' | 'summary' | 'untyped'

export type Labels = ReadonlyMap<string, string>

export interface Series {
  /** Of a histogram or summary with its ending, such as `_bucket`. */
  readonly name: string
  readonly labels: Labels
  /** As it was written: `1.5e3`, `NaN`, `+Inf`. */
  readonly value: string
}

/** All series that one `# TYPE` stands for. */
export interface MetricFamily {
  readonly name: string
  readonly type: MetricType
  readonly help: string | undefined
  readonly series: readonly Series[]
}

/** One series, and what its family is. */
export interface Figure {
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}

/** The endings under which a family of that type has its series. */
export function endingsOf(type: MetricType): readonly string[] {
  if (type === 'histogram') return ['', '_bucket', '_sum', '_count']
  if (type === 'summary') return ['', '_sum', '_count']
  return ['']
}
