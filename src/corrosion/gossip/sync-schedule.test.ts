import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '#base'
import { RttRing } from './rtt-ring.ts'
import { type SyncPeer, SyncSchedule } from './sync-schedule.ts'

const peers = (count: number): SyncPeer[] =>
  Array.from({ length: count }, (_, at) => ({ id: `p${at}`, address: `a${at}`, ring: at % 6 }))

test('the period grows while nothing is missing, and falls to its minimum when something is', () => {
  const schedule = new SyncSchedule(seededRandom(1), 0)
  assert.ok(schedule.dueAtMs <= 1_000)
  let nowMs = 0
  for (let round = 0; round < 10; round += 1) {
    nowMs = schedule.dueAtMs
    schedule.finished(nowMs, false)
  }
  assert.ok(schedule.dueAtMs - nowMs > 10_000)
  assert.ok(schedule.dueAtMs - nowMs < 20_000)
  schedule.wake(nowMs)
  assert.ok(schedule.dueAtMs - nowMs <= 1_300)
  schedule.finished(nowMs, true)
  assert.ok(schedule.dueAtMs - nowMs <= 1_300)
})

test('three to ten peers are asked: those most needed, then those longest not asked', () => {
  const schedule = new SyncSchedule(seededRandom(2), 0)
  const none = () => 0
  assert.equal(schedule.choose(peers(2), none).length, 2)
  assert.equal(schedule.choose(peers(50), none).length, 3)
  assert.equal(schedule.choose(peers(5_000), none).length, 10)
  const few = peers(4)
  schedule.synced('p0', 100)
  schedule.synced('p1', 50)
  schedule.synced('p2', 70)
  const order = schedule.choose(few, none).map(({ id }) => id)
  assert.deepEqual(order, ['p3', 'p1', 'p2'])
  const needed = schedule.choose(few, (actor) => (String(actor) === 'p0' ? 5 : 0))
  assert.equal(needed[0]?.id, 'p0')
})

test('a peer changes its ring a step at a time, and not for a sample at the edge', () => {
  const ring = new RttRing()
  assert.equal(ring.ring, undefined)
  ring.add(120)
  assert.equal(ring.ring, 4)
  ring.add(1)
  assert.equal(ring.ring, 3)
  for (let at = 0; at < 5; at += 1) ring.add(1)
  assert.equal(ring.ring, 0)
  const edge = new RttRing()
  edge.add(5)
  for (let at = 0; at < 25; at += 1) edge.add(7)
  assert.equal(edge.ring, 0, 'within the hysteresis')
  for (let at = 0; at < 25; at += 1) edge.add(9)
  assert.equal(edge.ring, 1)
})
