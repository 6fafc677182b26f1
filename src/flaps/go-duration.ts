import { refuse } from './errors.ts'

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}

/**
 * Milliseconds of a duration as Go's time.ParseDuration reads it (`1m30s`, `500ms`), or of a plain
 * number of seconds. Nothing and zero are undefined: clients send `0s` for "not given".
 *
 * @throws FlapsError flaps.argument_bad
 */
export function durationMs(value: string | number | undefined, name: string): number | undefined {
  if (value === undefined || value === '') return undefined
  const ms = typeof value === 'number' ? value * 1000 : parseText(value)
  if (ms === undefined || !Number.isFinite(ms) || ms < 0) {
    throw refuse('flaps.argument_bad', `invalid_argument: invalid ${name}: '${value}'`)
  }
  return ms === 0 ? undefined : Math.round(ms)
}

function parseText(text: string): number | undefined {
  if (/^\d{1,12}(\.\d+)?$/.test(text)) return Number(text) * 1000
  if (text.length > TEXT_CHARS_MAX || !/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text))
    return undefined
  let ms = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    ms += Number(amount) * (UNIT_MS[unit ?? ''] ?? 0)
  }
  return ms
}

const TEXT_CHARS_MAX = 64
