import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { parseByteSize } from './byte-size.ts'
import { formatDurationMs, parseDurationMs } from './duration.ts'
import { seededRandom, systemRandom } from './random.ts'

test('durations are read as people write them', () => {
  for (const [text, ms] of [
    ['250ms', 250],
    ['10s', 10_000],
    ['1m30s', 90_000],
    ['1.5s', 1500],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
  ] as const) {
    assert.equal(parseDurationMs(text), ms)
  }
  for (const bad of ['', '10', 's', '1x', '1s1m', '-1s', '1..5s', '1 s']) {
    assert.throws(() => parseDurationMs(bad), { code: 'base.value_bad' }, bad)
  }
})

test('a printed duration reads back to the same', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 40), (ms) => assert.equal(parseDurationMs(formatDurationMs(ms)), ms)),
  )
})

test('sizes are powers of 1024, in any spelling', () => {
  for (const [text, bytes] of [
    ['4096', 4096],
    ['512mb', 512 * 2 ** 20],
    ['8GB', 8 * 2 ** 30],
    ['64KiB', 65_536],
    ['1.5g', 1.5 * 2 ** 30],
    ['10 MB', 10 * 2 ** 20],
  ] as const) {
    assert.equal(parseByteSize(text), bytes)
  }
  for (const bad of ['', 'mb', '-1', '1zb', '1,5g']) {
    assert.throws(() => parseByteSize(bad), { code: 'base.value_bad' }, bad)
  }
})

test('a seed gives the same numbers again, and other seeds others', () => {
  const draw = (seed: number) => Array.from({ length: 8 }, seededRandom(seed).next)
  fc.assert(
    fc.property(fc.maxSafeInteger(), (seed) => {
      assert.deepEqual(draw(seed), draw(seed))
      assert.notDeepEqual(draw(seed), draw(seed === 0 ? 1 : -seed))
    }),
  )
})

test('bounded integers stay in their bound and reach all of it', () => {
  for (const random of [seededRandom(3), systemRandom]) {
    const seen = new Set(Array.from({ length: 500 }, () => random.int(6)))
    assert.deepEqual([...seen].sort(), [0, 1, 2, 3, 4, 5])
    assert.equal(random.bytes(33).length, 33)
  }
})
