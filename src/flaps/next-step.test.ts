import assert from 'node:assert/strict'
import test from 'node:test'
import { FlydError } from '#flyd'
import { answerOfError, type ErrorBody } from './answer.ts'
import { FlapsError, machineNotFound, refuse } from './errors.ts'

const web = { app: 'web', machine: '148ed599c14189' }

const fixOf = (error: unknown, named = {}) =>
  (answerOfError(error, named)?.body as ErrorBody | undefined)?.fix ?? ''

test('what is refused comes with what to do next, whichever part refused it', () => {
  assert.match(fixOf(machineNotFound(), web), /machine list -a web/)
  const volume = { app: 'web', volume: 'vol_1' }
  const gone = new FlydError('flyd.not_found', { what: 'not_found: volume not found' })
  assert.match(fixOf(gone, volume), /volumes list -a web/)
  const held = 'aborted: machine ID x lease currently held by me'
  assert.match(fixOf(refuse('flaps.conflict', held), web), /leases view 148ed599c14189 -a web/)
  const state = new FlydError('flyd.state_bad', { what: 'failed_precondition: x' })
  assert.match(fixOf(state, web), /machine status 148ed599c14189 -a web/)
  const late = new FlydError('flyd.deadline_exceeded', { what: 'deadline_exceeded: x' })
  assert.match(fixOf(late, web), /logs -a web/)
  assert.match(fixOf(refuse('flaps.capacity_lacking', 'no host')), /platform regions/)
  const full = 'aborted: could not reserve resource for machine: insufficient CPUs'
  assert.match(fixOf(new FlydError('flyd.conflict', { what: full }), web), /smaller size.*clone/)
})

test('an error that says itself what to do keeps its words; where nothing is known there are none', () => {
  const own = new FlapsError('flaps.state_bad', { what: 'failed_precondition: x', fix: 'do y' })
  assert.equal(fixOf(own, web), 'do y')
  assert.equal(fixOf(refuse('flaps.argument_bad', 'invalid_argument: x'), web), '')
  assert.equal(fixOf(refuse('flaps.not_found', 'not_found: x')), '')
})
