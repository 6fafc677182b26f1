import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import { fc } from '#property'
import { Circuit } from './circuit.ts'

test('three failures in a row open it, one success closes it', () => {
  const circuit = new Circuit(seededRandom(1))
  for (let failure = 0; failure < 3; failure += 1) {
    assert.equal(circuit.admit(0), true)
    circuit.failed(0)
  }
  assert.equal(circuit.isOpen, true)
  assert.equal(circuit.admit(0), false)
  assert.equal(circuit.admit(20_000), true, 'one goes through to see')
  assert.equal(circuit.admit(20_000), false, 'the others wait for it')
  circuit.succeeded()
  assert.equal(circuit.admit(20_000), true)
})

test('a host that never answers is asked again within eleven seconds, whatever happened before', () => {
  const steps = fc.array(
    fc.record(
      { waitMs: fc.integer({ min: 0, max: 15_000 }), ending: fc.constantFrom('failed', 'gaveUp') },
      { noNullPrototype: true },
    ),
  )
  fc.assert(
    fc.property(fc.integer(), steps, (seed, list) => {
      const circuit = new Circuit(seededRandom(seed))
      let nowMs = 0
      for (const { waitMs, ending } of list) {
        nowMs += waitMs
        if (!circuit.admit(nowMs)) continue
        if (ending === 'failed') circuit.failed(nowMs)
        else circuit.gaveUp()
      }
      assert.equal(circuit.admit(nowMs + 11_000), true)
    }),
  )
})
