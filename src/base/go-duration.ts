const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}

const TEXT_CHARS_MAX = 64
const DURATION = /^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/
const PART = /(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g

/**
 * Milliseconds of a duration as the Machines API and fly.toml write it: `1m30s`, `500ms`, `0s`; undefined
 * when it is none. Source: Go's time.ParseDuration, without signs.
 */
export function parseGoDurationMs(text: string): number | undefined {
  if (text === '0') return 0
  if (text.length > TEXT_CHARS_MAX || !DURATION.test(text)) return undefined
  let ms = 0
  for (const [, amount, unit] of text.matchAll(PART)) {
    ms += Number(amount) * (UNIT_MS[unit ?? ''] ?? 0)
  }
  return ms
}

/** As Go writes it: `1h0m0s`, `1m30s`, `1.5s`, `500ms`, `10µs`, `0s`. Source: time.Duration.String. */
export function formatGoDuration(durationMs: number): string {
  if (durationMs === 0) return '0s'
  if (durationMs < 1000) {
    for (const unit of ['ms', 'µs'] as const) {
      const amount = durationMs / (UNIT_MS[unit] ?? 1)
      if (amount >= 1) return `${trimmed(amount)}${unit}`
    }
    return `${Math.round(durationMs * 1e6)}ns`
  }
  const hours = Math.floor(durationMs / 3_600_000)
  const minutes = Math.floor((durationMs % 3_600_000) / 60_000)
  const seconds = `${trimmed((durationMs % 60_000) / 1000)}s`
  if (hours > 0) return `${hours}h${minutes}m${seconds}`
  return minutes > 0 ? `${minutes}m${seconds}` : seconds
}

const trimmed = (amount: number) => String(Number(amount.toFixed(9)))
