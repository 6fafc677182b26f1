const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/**
 * A ULID above `previous`: `fresh`, or the next one after `previous` when that is larger: the clock stepped
 * back, or another life of this process made it within the same millisecond.
 */
export function idAfter(previous: string | undefined, fresh: string): string {
  if (previous === undefined || fresh > previous) return fresh
  const digits = [...previous]
  for (let at = digits.length - 1; at >= 0; at -= 1) {
    const value = DIGITS.indexOf(digits[at] ?? '')
    if (value < DIGITS.length - 1) {
      digits[at] = DIGITS[value + 1] ?? ''
      break
    }
    digits[at] = '0'
  }
  return digits.join('')
}
