/**
 * A value of SQLite, with its storage class: INTEGER is a bigint (exact beyond 2^53), REAL a number
 * (also when it is whole), TEXT a string, BLOB bytes.
 */
export type SqlValue = null | bigint | number | string | Uint8Array

/** INTEGER > REAL > TEXT > BLOB > NULL: unlike SQLite's own ORDER BY, and so in cr-sqlite. */
function rank(value: SqlValue): number {
  if (value === null) return 0
  if (value instanceof Uint8Array) return 1
  if (typeof value === 'string') return 2
  return typeof value === 'number' ? 3 : 4
}

/**
 * Which of two values of one column wins when their versions are equal: positive when `a` does.
 * First the storage class, then numbers by size, text and blobs by their bytes (text as UTF-8).
 */
export function compareValues(a: SqlValue, b: SqlValue): number {
  const ranks = rank(a) - rank(b)
  if (ranks !== 0 || a === null || b === null) return ranks
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b)
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b)
  return a < b ? -1 : a > b ? 1 : 0
}

/** UTF-16 units sort as UTF-8 bytes do, except where surrogates meet U+E000 and above. */
function compareText(a: string, b: string): number {
  if (a === b) return 0
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
