import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import type { Clock } from './clock.ts'
import { newMachineId, parseMachineId } from './machine-id.ts'
import { seededRandom } from './random.ts'
import { parseAppName, parseOrgSlug, slugify } from './slug.ts'
import { isUlid, parseUlid, ulidGenerator, ulidTimeMs } from './ulid.ts'
import { newVolumeId, parseVolumeId } from './volume-id.ts'

const clockAt = (nowMs: () => number): Clock => ({
  nowMs,
  monotonicMs: nowMs,
  setTimer: () => ({ [Symbol.dispose]: () => undefined }),
  sleep: () => Promise.resolve(),
})

test('a new id of any kind parses, whatever the randomness', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = seededRandom(seed)
      parseMachineId(newMachineId(random))
      parseVolumeId(newVolumeId(random))
      parseUlid(ulidGenerator({ clock: clockAt(() => 1), random })())
    }),
  )
})

test('text that is no id is refused with the rule', () => {
  for (const text of ['', '148ed599c1418', '148ED599C14189', '148ed599c14189 ', 'g48ed599c14189']) {
    assert.throws(() => parseMachineId(text), { code: 'base.id_bad', message: /14 lower-case hex/ })
  }
  for (const text of [
    'vol_',
    'vs_2n0l3vl60qpv635d',
    'vol_2n0l3vl60qpv635D',
    'vol_2n0l3vl60qpv635',
  ]) {
    assert.throws(() => parseVolumeId(text), { code: 'base.id_bad' })
  }
  for (const text of ['81ARZ3NDEKTSV4RRFFQ69G5FAV', '01ARZ3NDEKTSV4RRFFQ69G5FAI', '']) {
    assert.throws(() => parseUlid(text), { code: 'base.id_bad' })
  }
})

test('ULIDs grow within a millisecond, and when the clock steps back', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(2 ** 40), { minLength: 2, maxLength: 50 }), (times) => {
      let at = 0
      const clock = clockAt(() => times[at++] ?? 0)
      const next = ulidGenerator({ clock, random: seededRandom(7) })
      const made = times.map(() => next())
      assert.deepEqual([...made].sort(), made)
      assert.equal(new Set(made).size, made.length)
    }),
  )
})

test('a ULID holds the time it was made at', () => {
  const made = ulidGenerator({ clock: clockAt(() => 1_700_000_000_123), random: seededRandom(1) })()
  assert.equal(ulidTimeMs(made), 1_700_000_000_123)
  assert(isUlid(made))
})

test('app names and slugs are labels of host names', () => {
  for (const good of ['a', 'hello', 'my-app-2', '0x', 'a'.repeat(63)]) {
    assert.equal(parseAppName(good), good)
    assert.equal(parseOrgSlug(good), good)
  }
  for (const bad of ['', '-a', 'a-', 'A', 'a_b', 'a.b', 'ä', 'a'.repeat(64), 'a b', 'a\n']) {
    assert.throws(() => parseAppName(bad), { code: 'base.slug_bad' }, bad)
    assert.throws(() => parseOrgSlug(bad), { code: 'base.slug_bad' }, bad)
  }
  assert.throws(() => parseAppName('internal'), /reserved/)
})

test('a slug made from any name is a slug, or empty', () => {
  assert.equal(slugify('My App!'), 'my-app')
  assert.equal(slugify('  Crème Brûlée  '), 'creme-brulee')
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (name) => {
      const slug = slugify(name)
      if (slug !== '') parseOrgSlug(slug)
    }),
  )
})
