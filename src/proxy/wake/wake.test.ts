import test from 'node:test'
import { testScenario } from '#sim'
import { scenario } from './wake.sim.ts'

testScenario(test, scenario, { seeds: 25 })
