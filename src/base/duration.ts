import { BaseError } from './base-error.ts'

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/**
 * Milliseconds of a duration as people write it: `250ms`, `10s`, `1m30s`, `2h`, `7d`. Each unit at
 * most once, largest first; a fraction is allowed (`1.5s`).
 *
 * @throws BaseError base.value_bad
 */
export function parseDurationMs(text: string): number {
  const match = /^(?:([\d.]+)d)?(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s)?(?:([\d.]+)ms)?$/.exec(
    text,
  )
  const numbers = (match ?? []).slice(1, 6).map((part) => (part === undefined ? 0 : Number(part)))
  if (text === '' || match === null || numbers.some((number) => !Number.isFinite(number))) {
    throw new BaseError('base.value_bad', {
      what: 'not a duration',
      values: { value: text },
      fix: 'write one like 250ms, 10s, 1m30s, 2h or 7d',
    })
  }
  const [days = 0, hours = 0, minutes = 0, seconds = 0, ms = 0] = numbers
  return days * UNIT_MS.d + hours * UNIT_MS.h + minutes * UNIT_MS.m + seconds * UNIT_MS.s + ms
}

/** The shortest way to write whole milliseconds: `parseDurationMs` gives them back. */
export function formatDurationMs(durationMs: number): string {
  let rest = Math.round(durationMs)
  let text = ''
  for (const unit of ['d', 'h', 'm', 's', 'ms'] as const) {
    const count = Math.floor(rest / UNIT_MS[unit])
    if (count > 0) text += `${count}${unit}`
    rest -= count * UNIT_MS[unit]
  }
  return text === '' ? '0s' : text
}
