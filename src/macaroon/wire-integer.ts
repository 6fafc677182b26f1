/**
 * A 64-bit integer of the wire: a number when that is exact, else a bigint, never both for one
 * value. So `===`, `<` and Map keys are right for any two of them.
 */
export type WireInteger = number | bigint

export const UINT64_MAX = 2n ** 64n - 1n
export const INT64_MIN = -(2n ** 63n)
export const INT64_MAX = 2n ** 63n - 1n

/** The one form of `value`. `value` is an integer. */
export function wireInteger(value: number | bigint): WireInteger {
  if (typeof value === 'number') return value === 0 ? 0 : value // -0 would be a second zero
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

/** True for a wire integer within [min, max]; false for fractions and anything else. */
export function isIntegerWithin(
  value: unknown,
  min: WireInteger,
  max: WireInteger,
): value is WireInteger {
  if (typeof value === 'number' ? !Number.isSafeInteger(value) : typeof value !== 'bigint') {
    return false
  }
  return (value as WireInteger) >= min && (value as WireInteger) <= max
}
