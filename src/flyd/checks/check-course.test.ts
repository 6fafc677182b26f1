import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import { fc } from '#property'
import { CheckCourse, type CheckStatus } from './check-course.ts'
import type { CheckSpec } from './check-spec.ts'

const spec: CheckSpec = {
  name: 'alive',
  isService: false,
  probe: { type: 'tcp', port: 80 },
  intervalMs: 15_000,
  timeoutMs: 2_000,
  graceMs: 5_000,
}

const courseOf = (changes: Partial<CheckSpec> = {}) =>
  new CheckCourse({ ...spec, ...changes }, 0, seededRandom(1))

function tell(course: CheckCourse, status: CheckStatus, nowMs: number): boolean {
  course.begin()
  return course.ended({ status, output: status }, nowMs)
}

test('a failure within the grace period counts for nothing, a success at once', () => {
  const course = courseOf()
  assert.deepEqual(course.report, { status: 'critical', output: '', changedAtMs: 0 })
  assert.equal(tell(course, 'critical', 1_000), false)
  assert.equal(course.report.output, '')
  assert.equal(tell(course, 'passing', 2_000), true)
  assert.equal(tell(course, 'critical', 4_000), false)
  assert.equal(course.report.status, 'passing')
  assert.equal(tell(course, 'critical', 6_000), true)
})

test('one failure is critical, one success is passing, and the time is that of the change', () => {
  const course = courseOf({ graceMs: 0 })
  tell(course, 'passing', 1_000)
  tell(course, 'passing', 2_000)
  assert.equal(course.report.changedAtMs, 1_000)
  tell(course, 'warning', 3_000)
  assert.deepEqual(course.report, { status: 'warning', output: 'warning', changedAtMs: 3_000 })
  tell(course, 'passing', 4_000)
  assert.equal(course.report.changedAtMs, 4_000)
})

test('until it first passes it is probed sooner than at its interval', () => {
  const course = courseOf()
  let nowMs = 0
  let count = 0
  while (nowMs < 15_000) {
    nowMs = course.dueAtMs
    tell(course, 'critical', nowMs)
    count += 1
  }
  assert.ok(count >= 4, `${count} probes in the first interval`)
})

test('probes are never more than a stretched interval apart, and never closer than asked once it passed', () => {
  const statuses = fc.array(fc.constantFrom<CheckStatus>('passing', 'warning', 'critical'))
  const intervals = fc.integer({ min: 1_000, max: 600_000 })
  fc.assert(
    fc.property(statuses, intervals, fc.integer(), (list, intervalMs, seed) => {
      const course = new CheckCourse({ ...spec, intervalMs }, 0, seededRandom(seed))
      assert.ok(course.dueAtMs <= 500)
      let nowMs = course.dueAtMs
      let hasPassed = false
      for (const status of list) {
        tell(course, status, nowMs)
        hasPassed ||= status === 'passing'
        const waitMs = course.dueAtMs - nowMs
        assert.ok(waitMs <= 1.1 * Math.max(intervalMs, Math.min(4 * intervalMs, 60_000)))
        if (hasPassed) assert.ok(waitMs >= 0.9 * intervalMs)
        nowMs = course.dueAtMs
      }
      course.begin()
      assert.equal(course.dueAtMs, Infinity)
    }),
  )
})
