import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fc } from '#property'
import { RangeSet } from './range-set.ts'

const step = fc.record({
  isAdd: fc.boolean(),
  start: fc.integer({ min: 0, max: 40 }),
  length: fc.integer({ min: 0, max: 12 }),
})

test('a range set holds the same numbers as a set of numbers would', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const ranges = new RangeSet()
      const model = new Set<number>()
      for (const { isAdd, start, length } of steps) {
        const end = start + length - 1
        if (isAdd) ranges.add(start, end)
        else ranges.remove(start, end)
        for (let value = start; value <= end; value += 1) {
          if (isAdd) model.add(value)
          else model.delete(value)
        }
      }
      const numbers = [...ranges].flatMap(({ start, end }) => numbersOf(start, end))
      assert.deepEqual(
        numbers,
        [...model].sort((a, b) => a - b),
      )
      const list = ranges.toArray()
      for (const [at, { start }] of list.entries()) {
        if (at > 0) assert.ok(start > (list[at - 1]?.end ?? 0) + 1, 'ranges never touch')
      }
      const inside = ranges.within(5, 30).flatMap(({ start, end }) => numbersOf(start, end))
      const outside = ranges.missing(5, 30).flatMap(({ start, end }) => numbersOf(start, end))
      assert.deepEqual(
        [...inside, ...outside].sort((a, b) => a - b),
        numbersOf(5, 30),
      )
      assert.ok(inside.every((value) => ranges.has(value)))
      assert.ok(outside.every((value) => !ranges.has(value)))
      assert.equal(ranges.contains(5, 30), outside.length === 0)
      assert.equal(ranges.size, model.size)
    }),
  )
})

const numbersOf = (start: number, end: number) =>
  Array.from({ length: end - start + 1 }, (_, at) => start + at)
