import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import { exitWith } from '../fixture/simulated-hardware.ts'
import { decideRestart, noRestarts, type RestartHistory } from './restart-policy.ts'

const random = seededRandom(1)

/** Ends so often, so far apart; how many of them were followed by a start. */
function starts(restart: object | undefined, exitCode: number, times: number, everyMs: number) {
  let history: RestartHistory = noRestarts
  let started = 0
  for (let time = 0; time < times; time += 1) {
    const nowMs = 1_000_000 + time * everyMs
    const config = restart === undefined ? {} : { restart }
    const decision = decideRestart(config, exitWith(exitCode, nowMs), { history, nowMs, random })
    history = decision.history
    if (!decision.restarts) return started
    assert.ok(decision.delayMs >= 500 && decision.delayMs <= 10_000)
    started += 1
  }
  return started
}

test('without a policy a failure is followed by a start, an end in order is not', () => {
  for (const restart of [undefined, {}, { policy: '' }, { policy: 'on-failure' }]) {
    assert.equal(starts(restart, 0, 1, 1), 0)
    assert.equal(starts(restart, 1, 1, 1), 1)
    assert.equal(starts(restart, 137, 1, 1), 1)
  }
})

test('always starts after every end, no never', () => {
  assert.equal(starts({ policy: 'always' }, 0, 40, 1_000), 40)
  assert.equal(starts({ policy: 'always' }, 1, 40, 1_000), 40)
  assert.equal(starts({ policy: 'no' }, 1, 1, 1), 0)
})

test('the eleventh failure within five minutes is the last, but not the eleventh in ten', () => {
  assert.equal(starts(undefined, 1, 40, 20_000), 10)
  assert.equal(starts(undefined, 1, 40, 60_000), 40)
  assert.equal(starts({ policy: 'on-failure', max_retries: 3 }, 1, 40, 1_000), 3)
  assert.equal(starts({ policy: 'on-failure', max_retries: 0 }, 1, 40, 1_000), 10)
})

test('how a guest ended that nobody saw counts as a failure', () => {
  const around = { history: noRestarts, nowMs: 1_000_000, random }
  assert.equal(decideRestart({}, undefined, around).restarts, true)
})
