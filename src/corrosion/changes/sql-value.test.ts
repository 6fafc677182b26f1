import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareValues, type SqlValue } from './sql-value.ts'

test('values are ordered by storage class first, then by size or bytes', () => {
  const ascending: SqlValue[] = [
    null,
    new Uint8Array(),
    Uint8Array.of(1),
    Uint8Array.of(1, 0),
    Uint8Array.of(255),
    '',
    'B',
    'a',
    '\u{e000}',
    '\u{1f600}',
    -Infinity,
    -1.5,
    2.5,
    1e300,
    -(2n ** 63n),
    1n,
    2n ** 53n,
    2n ** 53n + 1n,
  ]
  for (const [at, a] of ascending.entries()) {
    for (const [other, b] of ascending.entries()) {
      assert.equal(Math.sign(compareValues(a, b)), Math.sign(at - other), `${a} against ${b}`)
    }
  }
})
