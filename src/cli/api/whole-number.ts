import { ApiInputError } from './input-error.ts'

/** For commander: a whole number that is not negative. */
export function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new ApiInputError('cli.bad_value', {
    what: 'not a whole number',
    values: { value: text },
    fix: 'write one like 30',
  })
}
