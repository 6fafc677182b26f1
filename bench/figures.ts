/** One measured figure. */
export interface Figure {
  /** Key in the JSON line; ends in its unit: `up_ms`, `ratio_up_vs_ip`. */
  readonly key: string
  readonly value: number
  /** What it is, for people. */
  readonly what: string
  readonly better: 'lower' | 'higher'
}

/** A benchmark: a file `bench/<name>.ts` that exports one of these as `bench`. */
export interface Bench {
  readonly name: string
  readonly summary: string
  /** Runs ours and the peer interleaved. Reports each step through `progress`. */
  run(progress: (step: string) => void): Promise<readonly Figure[]>
}

/** The value below which `ratio` of all values lie (nearest rank). */
export function quantile(values: readonly number[], ratio: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(ratio * sorted.length) - 1)] ?? Number.NaN
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)

/** Three significant digits are more than a noisy machine gives. */
export const rounded = (value: number): number => Number(value.toPrecision(3))
