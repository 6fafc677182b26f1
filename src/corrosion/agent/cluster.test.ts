import test from 'node:test'
import { testScenario } from '#sim'
import { scenario } from './cluster.sim.ts'

testScenario(test, scenario, { seeds: 25 })

testScenario(
  test,
  { ...scenario, name: 'cluster of many nodes and large transactions' },
  {
    seeds: 2,
    changes: { nodes: 12, writesMs: 3_000, rowsMax: 1_500 },
  },
)
