import test from 'node:test'
import { testScenario } from '#sim'
import { scenario } from './flyd.sim.ts'

testScenario(test, scenario, { seeds: 12, regressions: [10] })
