import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import { fc } from '#property'
import { planFaults } from './faults.ts'
import { WriteLedger } from './write-ledger.ts'

const targets = {
  hosts: ['a', 'b', 'c'].map((name) => ({ name, parts: ['flyd', 'proxy'] })),
  mortal: ['b', 'c'],
  links: [
    ['a', 'b'],
    ['b', 'c'],
  ] as const,
}

test('a timeline is the same for the same seed, and all of it is mended before its end', () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 30 }), (seed, minutes) => {
      const plan = () => planFaults(seededRandom(seed), targets, minutes * 60_000)
      const faults = plan()
      assert.deepEqual(plan(), faults)
      for (const { atMs, healMs } of faults) assert.ok(atMs <= healMs && healMs < minutes * 60_000)
      for (const kind of ['kill_host', 'cut_link']) {
        const outages = faults.filter((one) => one.kind === kind)
        for (const [index, { atMs }] of outages.entries()) {
          assert.ok(index === 0 || atMs > (outages[index - 1]?.healMs ?? 0), 'two at a time')
        }
      }
      assert.ok(
        faults.every((one) => one.kind !== 'kill_host' || targets.mortal.includes(one.host)),
      )
    }),
  )
})

test('a write that was acknowledged and is not there is a loss; one of unknown outcome may be there or not', () => {
  const ledger = new WriteLedger()
  ledger.tell('kept', '1', 'acknowledged')
  ledger.tell('lost', '1', 'acknowledged')
  ledger.tell('old', '1', 'acknowledged')
  ledger.tell('old', '2', 'acknowledged')
  ledger.tell('maybe', '1', 'acknowledged')
  ledger.tell('maybe', '2', 'unknown')
  ledger.tell('refused', '1', 'refused')
  ledger.tell('new', '1', 'unknown')
  for (const key of ['destroyed', 'back']) {
    ledger.tell(key, '1', 'acknowledged')
    ledger.tell(key, undefined, 'acknowledged')
  }
  ledger.tell('perhaps destroyed', '1', 'acknowledged')
  ledger.tell('perhaps destroyed', undefined, 'unknown')
  const there = new Map([
    ['kept', '1'],
    ['old', '1'],
    ['maybe', '2'],
    ['back', '1'],
  ])
  const losses = ledger.losses((key) => there.get(key))
  assert.deepEqual(
    losses.map((one) => one.split(':')[0]),
    ['lost', 'old', 'back'],
  )
  there.set('maybe', '1').set('new', '1').set('refused', '1')
  const again = ledger.losses((key) => there.get(key))
  assert.deepEqual(
    again.map((one) => one.split(':')[0]),
    ['lost', 'old', 'refused', 'back'],
  )
})
