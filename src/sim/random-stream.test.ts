import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { DiceTable } from './dice.ts'
import { deriveSeed } from './random-stream.ts'

const labels = fc.array(fc.oneof(fc.string(), fc.nat()), { maxLength: 3 })

test('a derived seed is a safe integer, the same each time, and another for other labels', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), labels, labels, (root, one, other) => {
      const seed = deriveSeed(root, ...one)
      assert.ok(Number.isSafeInteger(seed) && seed >= 0)
      assert.equal(deriveSeed(root, ...one), seed)
      assert.notEqual(deriveSeed(root + 1, ...one), seed)
      if (one.map(String).join('\0') !== other.map(String).join('\0')) {
        assert.notEqual(deriveSeed(root, ...other), seed)
      }
    }),
  )
})

test('a generator of the table is not moved by draws from its neighbours', () => {
  const draws = (others: number) => {
    const dice = new DiceTable(9)
    for (const label of Array.from({ length: 100 }, (_, at) => at)) dice.add('node', label)
    return Array.from({ length: 50 }, () => {
      for (let at = 0; at < others; at += 1) dice.next(at)
      return dice.next(70)
    })
  }
  assert.deepEqual(draws(10), draws(0))
  const mean = draws(0).reduce((sum, value) => sum + value, 0) / 50
  assert.ok(mean > 0.35 && mean < 0.65, `mean ${mean}`)
})
