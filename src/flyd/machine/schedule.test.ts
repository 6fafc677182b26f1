import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { nextDueMs, type Schedule, scheduleOf } from './schedule.ts'

const at = (text: string): number => Date.parse(text)

test('a period counts from the creation, and what was missed is not made up for', () => {
  const anchor = at('2026-01-31T10:30:00Z')
  const due = (schedule: Schedule, now: string) =>
    new Date(nextDueMs(schedule, anchor, at(now))).toISOString()
  assert.equal(due('hourly', '2026-01-31T10:30:00Z'), '2026-01-31T11:30:00.000Z')
  assert.equal(due('daily', '2026-02-03T10:30:00Z'), '2026-02-04T10:30:00.000Z')
  assert.equal(due('weekly', '2026-02-01T00:00:00Z'), '2026-02-07T10:30:00.000Z')
  assert.equal(due('monthly', '2026-01-31T10:30:00Z'), '2026-02-28T10:30:00.000Z')
  assert.equal(due('monthly', '2026-02-28T10:30:00Z'), '2026-03-31T10:30:00.000Z')
})

test('the next time is always later than now, also when the clock is before the creation', () => {
  const schedules = fc.constantFrom<Schedule>('hourly', 'daily', 'weekly', 'monthly')
  const time = fc.integer({ min: 0, max: at('2100-01-01T00:00:00Z') })
  const property = fc.property(schedules, time, time, (schedule, anchor, now) => {
    const due = nextDueMs(schedule, anchor, now)
    assert.ok(due > now && due > anchor)
    assert.ok(due - Math.max(now, anchor) <= 31 * 86_400_000)
  })
  fc.assert(property)
})

test('a word that is no schedule is none', () => {
  assert.equal(scheduleOf({ schedule: 'hourly' }), 'hourly')
  for (const schedule of ['', 'yearly', 'toString', 3, undefined]) {
    assert.equal(scheduleOf({ schedule }), undefined)
  }
})
