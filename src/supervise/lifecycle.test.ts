import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import { fc } from '#property'
import { DEFAULT_POLICY, Lifecycle, type LifecycleAction, type Policy } from './lifecycle.ts'

const lifecycle = (policy: Partial<Policy> = {}) =>
  new Lifecycle({ ...DEFAULT_POLICY, ...policy }, seededRandom(1))

const kinds = (actions: readonly LifecycleAction[]) =>
  actions.map((action) =>
    action.type === 'enter' ? action.state : action.type === 'signal' ? action.kind : action.type,
  )

test('a process is started, looked at, and ready once it is healthy', () => {
  const core = lifecycle()
  assert.deepEqual(kinds(core.step({ type: 'startRequested' }, 0)), ['starting', 'spawn'])
  assert.deepEqual(kinds(core.step({ type: 'clockTicked' }, 0)), ['probe'])
  assert.deepEqual(kinds(core.step({ type: 'probed', isHealthy: false }, 5)), [])
  assert.equal(core.wakeAtMs, 5 + DEFAULT_POLICY.probePeriodMs)
  assert.deepEqual(kinds(core.step({ type: 'probed', isHealthy: true }, 9)), ['ready'])
})

test('a process that never gets healthy is ended, killed, and started anew', () => {
  const core = lifecycle({ startDeadlineMs: 100, stopGraceMs: 50 })
  core.step({ type: 'startRequested' }, 0)
  assert.deepEqual(kinds(core.step({ type: 'clockTicked' }, 100)), ['ending', 'stop'])
  assert.deepEqual(kinds(core.step({ type: 'clockTicked' }, 150)), ['kill'])
  assert.deepEqual(kinds(core.step({ type: 'exited', code: null }, 151)), ['waiting'])
  assert.deepEqual(kinds(core.step({ type: 'clockTicked' }, core.wakeAtMs)), ['starting', 'spawn'])
})

test('a ready process is ended after so many failed looks in a row, not before', () => {
  const core = lifecycle({ probeFailuresMax: 3 })
  core.step({ type: 'startRequested' }, 0)
  const looks = [true, false, false, true, false, false]
  for (const isHealthy of looks) core.step({ type: 'probed', isHealthy }, 10)
  assert.equal(core.state, 'ready')
  assert.deepEqual(kinds(core.step({ type: 'probed', isHealthy: false }, 20)), ['ending', 'stop'])
})

test('failures are forgotten once it was stable', () => {
  const core = lifecycle({ failuresMax: 2, stableMs: 1000 })
  core.step({ type: 'startRequested' }, 0)
  core.step({ type: 'exited', code: 1 }, 1)
  core.step({ type: 'clockTicked' }, 100_000)
  core.step({ type: 'probed', isHealthy: true }, 100_000)
  assert.deepEqual(kinds(core.step({ type: 'exited', code: 1 }, 101_000)), ['waiting'])
  core.step({ type: 'clockTicked' }, 200_000)
  assert.deepEqual(kinds(core.step({ type: 'exited', code: 1 }, 200_001)), ['failed'])
})

test('the restart policy decides after a clean exit', () => {
  for (const [restart, state] of [
    ['always', 'waiting'],
    ['on-failure', 'ended'],
    ['never', 'ended'],
  ] as const) {
    const core = lifecycle({ restart })
    core.step({ type: 'startRequested' }, 0)
    core.step({ type: 'exited', code: 0 }, 1)
    assert.equal(core.state, state)
  }
})

test('one that is retired is left alone, and not started again when it ends', () => {
  const core = lifecycle()
  core.step({ type: 'startRequested' }, 0)
  core.step({ type: 'probed', isHealthy: true }, 1)
  assert.deepEqual(core.step({ type: 'retireRequested' }, 2), [])
  assert.equal(core.state, 'ready')
  assert.deepEqual(kinds(core.step({ type: 'exited', code: 0 }, 3)), ['ended'])
  assert.equal(core.wakeAtMs, Infinity)
})

test('one that lives already is not spawned, and is kept running like any other', () => {
  const core = lifecycle()
  assert.deepEqual(kinds(core.step({ type: 'adopted' }, 0)), ['starting'])
  assert.deepEqual(kinds(core.step({ type: 'clockTicked' }, 0)), ['probe'])
  core.step({ type: 'probed', isHealthy: true }, 1)
  assert.deepEqual(kinds(core.step({ type: 'exited', code: null }, 2)), ['waiting'])
  assert.deepEqual(kinds(core.step({ type: 'clockTicked' }, core.wakeAtMs)), ['starting', 'spawn'])
})

test('whatever happens: one child at most, a stop ends, and no wait is beyond the cap', () => {
  const choices = fc.constantFrom(
    ...['exit', 'healthy', 'ill', 'tick', 'start', 'stop', 'retire', 'adopt'],
  )
  const policies = fc.record({
    restart: fc.constantFrom('always', 'on-failure', 'never'),
    failuresMax: fc.constantFrom(1, 3, Infinity),
    probeFailuresMax: fc.integer({ min: 1, max: 3 }),
  })
  fc.assert(
    fc.property(policies, fc.array(choices, { maxLength: 200 }), (policy, steps) => {
      const core = lifecycle(policy as Partial<Policy>)
      let children = 0
      let nowMs = 0
      const take = (actions: LifecycleAction[]) => {
        for (const { type } of actions) if (type === 'spawn') children += 1
        assert(children <= 1, 'two children')
        if (core.state === 'waiting') {
          assert(core.wakeAtMs - nowMs <= DEFAULT_POLICY.backoff.capMs)
        }
      }
      const exit = () => {
        children -= 1
        take(core.step({ type: 'exited', code: nowMs % 2 }, nowMs))
      }
      for (const step of steps) {
        nowMs += 7
        if (step === 'exit') {
          if (children === 1) exit()
        } else if (step === 'tick') {
          if (core.wakeAtMs !== Infinity) nowMs = Math.max(nowMs, core.wakeAtMs)
          take(core.step({ type: 'clockTicked' }, nowMs))
        } else if (step === 'start') take(core.step({ type: 'startRequested' }, nowMs))
        else if (step === 'stop') take(core.step({ type: 'stopRequested' }, nowMs))
        else if (step === 'retire') take(core.step({ type: 'retireRequested' }, nowMs))
        else if (step === 'adopt') {
          if (core.state !== 'ended') continue
          children += 1
          take(core.step({ type: 'adopted' }, nowMs))
        } else if (children === 1) {
          take(core.step({ type: 'probed', isHealthy: step === 'healthy' }, nowMs))
        }
      }
      take(core.step({ type: 'stopRequested' }, nowMs))
      if (children === 1) exit()
      assert(core.state === 'ended' || core.state === 'failed')
      assert.equal(core.wakeAtMs, Infinity)
    }),
  )
})
