import type { SqlValue } from '../changes/sql-value.ts'

/**
 * A value as the API writes it: integers with all their digits, reals with a point or an exponent, blobs as lists
 * of bytes, infinities as null.
 */
export function cellJson(value: SqlValue): string {
  if (value === null) return 'null'
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'bigint') return `${value}`
  if (typeof value === 'number') return realJson(value)
  return `[${value.join(',')}]`
}

export function cellsJson(cells: readonly SqlValue[]): string {
  let text = '['
  for (const [at, cell] of cells.entries()) text += at === 0 ? cellJson(cell) : `,${cellJson(cell)}`
  return `${text}]`
}

const PLAIN_MAX = 1e16

function realJson(value: number): string {
  if (!Number.isFinite(value)) return 'null'
  if (Object.is(value, -0)) return '-0.0'
  if (!Number.isInteger(value)) return `${value}`.replace('e+', 'e')
  if (Math.abs(value) < PLAIN_MAX) return `${value}.0`
  return value.toExponential().replace('e+', 'e')
}
