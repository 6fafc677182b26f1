import test from 'node:test'
import { testScenario } from '#sim'
import { scenario } from './propagation.sim.ts'

testScenario(test, scenario, { seeds: 3, changes: { nodes: 300 } })
