import assert from 'node:assert/strict'
import test from 'node:test'
import { decideStandby } from './standby.ts'

const standby = (state: 'stopped' | 'started', isStandingIn = false) => ({
  state,
  config: { standbys: ['a', 'b'] },
  isStandingIn,
})
const watched = (states: Record<string, 'gone' | 'here' | 'other'>) => ({
  stateOf: (id: string) => states[id] ?? 'other',
})

test('a standby starts when a host is gone, not when what it watches stops', () => {
  assert.equal(decideStandby(standby('stopped'), watched({ a: 'here', b: 'gone' })), 'start')
  assert.equal(decideStandby(standby('stopped'), watched({ a: 'here', b: 'other' })), undefined)
})

test('it stops again only when all are back, and only if it was started for them', () => {
  const back = watched({ a: 'here', b: 'here' })
  assert.equal(decideStandby(standby('started', true), back), 'stop')
  assert.equal(decideStandby(standby('started', true), watched({ a: 'here' })), undefined)
  assert.equal(decideStandby(standby('started', false), back), undefined)
})

test('a machine that watches nothing is left alone', () => {
  const machine = { ...standby('stopped'), config: {} }
  assert.equal(decideStandby(machine, watched({ a: 'gone' })), undefined)
})
