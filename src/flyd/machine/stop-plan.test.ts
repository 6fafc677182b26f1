import assert from 'node:assert/strict'
import test from 'node:test'
import { stopPlanOf } from './stop-plan.ts'

const none = { signal: undefined, timeoutMs: undefined }

test("the call's own words come before the configuration's, and those before the defaults", () => {
  const config = { stop_config: { signal: 'TERM', timeout: '1m30s' } }
  assert.deepEqual(stopPlanOf({}, none), { signal: 'SIGINT', timeoutMs: 5_000 })
  assert.deepEqual(stopPlanOf(config, none), { signal: 'SIGTERM', timeoutMs: 90_000 })
  assert.deepEqual(stopPlanOf(config, { signal: 'SIGHUP', timeoutMs: 7_000 }), {
    signal: 'SIGHUP',
    timeoutMs: 7_000,
  })
})

test('a number in the configuration is nanoseconds; too little or too much is brought within bounds', () => {
  const timeout = (value: unknown) =>
    stopPlanOf({ stop_config: { timeout: value } }, none).timeoutMs
  assert.equal(timeout(15_000_000_000), 15_000)
  assert.equal(timeout(10), 100)
  assert.equal(timeout('10m'), 300_000)
  assert.equal(timeout('soon'), 5_000)
})
