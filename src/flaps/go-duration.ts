import { parseGoDurationMs } from '#base'
import { refuse } from './errors.ts'

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

const parseText = (text: string): number | undefined =>
  /^\d{1,12}(\.\d+)?$/.test(text) ? Number(text) * 1000 : parseGoDurationMs(text)
