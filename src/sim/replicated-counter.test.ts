import assert from 'node:assert/strict'
import test from 'node:test'
import { scenario } from './replicated-counter.sim.ts'
import { mistakes } from './replicated-counter.ts'
import { runSeeds } from './run-seeds.ts'
import { testScenario } from './test-scenario.ts'

testScenario(test, scenario, { seeds: 40 })

const SEEDS_MAX = 60

for (const mistake of mistakes.filter((name) => name !== 'none')) {
  test(`the mistake "${mistake}" is found within ${SEEDS_MAX} seeds, with seed and timeline`, async () => {
    const { failure, failedSeed } = await runSeeds(
      scenario,
      { from: 0, count: SEEDS_MAX },
      { mistake },
    )
    assert.ok(failure !== null, 'no seed failed')
    assert.match(failure.message, new RegExp(`seed: +${failedSeed}\n`))
    assert.match(failure.message, new RegExp(`--seed ${failedSeed} --set mistake=${mistake}`))
    assert.match(failure.message, /primary {2,}backup {2,}client1/)
    const again = await runSeeds(scenario, { from: failedSeed ?? 0, count: 1 }, { mistake })
    assert.equal(again.failure?.message, failure.message)
  })
}
