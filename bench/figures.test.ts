import assert from 'node:assert/strict'
import test from 'node:test'
import { median, quantile, rounded } from './figures.ts'

test('a quantile is a value that was measured', () => {
  assert.equal(median([3, 1, 2]), 2)
  assert.equal(median([4, 1, 2, 3]), 2)
  assert.equal(quantile([5, 1, 9], 1), 9)
  assert.equal(quantile([5, 1, 9], 0), 1)
  assert(Number.isNaN(median([])))
})

test('figures are printed with three digits', () => {
  assert.deepEqual([rounded(1234.5), rounded(0.012345)], [1230, 0.0123])
})
