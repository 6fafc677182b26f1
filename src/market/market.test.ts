import test from 'node:test'
import { testScenario } from '#sim'
import { scenario } from './market.sim.ts'

testScenario(test, scenario, {
  seeds: 3,
  changes: {
    hosts: 24,
    regions: 3,
    machines: 2_000,
    churn: 300,
    perSecond: 200,
    crashEveryMs: 500,
    downForMs: 3_000,
    lossRatio: 0.02,
    abandonRatio: 0.02,
    baseline: false,
    print: false,
  },
})
