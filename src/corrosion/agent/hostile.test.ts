import test from 'node:test'
import { testScenario } from '#sim'
import { scenario } from './hostile.sim.ts'

testScenario(test, scenario, { seeds: 5 })
