import { ApiInputError } from './input-error.ts'

/** `none`: a day, which nothing should take. */
const NEVER_MS = 86_400_000

/** `90`, `5m`, `1h30m`, `none`. @throws ApiInputError cli.bad_value */
export function waitMs(text: string): number
export function waitMs(text: string | undefined): number | undefined
export function waitMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (text === 'none') return NEVER_MS
  if (/^\d{1,6}$/.test(text)) return Number(text) * 1000
  const match = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(text)
  const [, hours = 0, minutes = 0, seconds = 0] = match ?? []
  if (match !== null && text !== '') {
    return (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000
  }
  throw new ApiInputError('cli.bad_value', {
    what: '--wait-timeout is wrong',
    values: { value: text },
    fix: 'use seconds, a time like 5m, or none',
  })
}
