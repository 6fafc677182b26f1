import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '#base'
import { Broadcaster, DEFAULT_BROADCAST_OPTIONS } from './broadcaster.ts'

const frameOf = (bytes = 100) => new Uint8Array(bytes)

function cluster(peers: number, changes: Partial<typeof DEFAULT_BROADCAST_OPTIONS> = {}) {
  const broadcaster = new Broadcaster(seededRandom(1), { ...DEFAULT_BROADCAST_OPTIONS, ...changes })
  for (let peer = 0; peer < peers; peer += 1) broadcaster.peerUp(`p${peer}`, `a${peer}`)
  return broadcaster
}

test('in a small cluster the writer tells everybody once, and nobody passes it on', () => {
  const small = cluster(5)
  const told = small.spreadOwn(frameOf(), 0).map(({ to }) => to)
  assert.deepEqual(told.sort(), ['a0', 'a1', 'a2', 'a3', 'a4'])
  assert.equal(small.wakeAtMs, Infinity, 'nothing is sent again')
  assert.deepEqual(small.passOn(frameOf(), 'a1', 'p1', 0), [])
  const relayed = small.passOn(frameOf(), 'a2', 'p1', 0).map(({ to }) => to)
  assert.deepEqual(relayed.sort(), ['a0', 'a3', 'a4'], 'what came round about is passed on')
})

test('a large cluster is told in turns, no peer twice, near peers first', () => {
  const large = cluster(100)
  for (const near of ['p7', 'p8', 'p9']) large.rttSampled(near, 1)
  large.rttSampled('p10', 120)
  const first = large.spreadOwn(frameOf(), 0).map(({ to }) => to)
  const near = first.filter((to) => ['a7', 'a8', 'a9'].includes(to))
  assert.ok(near.length >= DEFAULT_BROADCAST_OPTIONS.nearTargets)
  const told = [...first]
  while (large.wakeAtMs !== Infinity) {
    told.push(...large.tick(large.wakeAtMs).map(({ to }) => to))
  }
  assert.equal(new Set(told).size, told.length)
  const { nearTargets, farTargets, resendAfterMs, resendTargets } = DEFAULT_BROADCAST_OPTIONS
  assert.ok(told.length <= nearTargets + farTargets + resendAfterMs.length * resendTargets)
})

test('neither its writer nor who sent it is told a change', () => {
  const large = cluster(12, { farTargets: 12 })
  const told = large.passOn(frameOf(), 'a3', 'p5', 0).map(({ to }) => to)
  assert.equal(told.length, 10)
  assert.ok(!told.includes('a3') && !told.includes('a5'))
})

test('bytes are limited to the rate: what is over is dropped and counted, and comes back with time', () => {
  const slow = cluster(5, { bytesPerSecond: 1_000 })
  assert.equal(slow.spreadOwn(frameOf(200), 0).length, 5)
  assert.equal(slow.spreadOwn(frameOf(200), 0).length, 0)
  assert.equal(slow.droppedCount, 5)
  assert.equal(slow.spreadOwn(frameOf(200), 500).length, 2)
})

test('a full queue drops what was sent most often, of those what others wrote', () => {
  const full = cluster(50, { queueMax: 3, resendAfterMs: [100, 100, 100] })
  for (let at = 0; at < 3; at += 1) full.passOn(frameOf(), 'a1', 'p1', 0)
  full.spreadOwn(frameOf(), 0)
  assert.equal(full.queueLength, 3)
  assert.equal(full.droppedCount, 1)
  full.spreadOwn(frameOf(), 0)
  full.spreadOwn(frameOf(), 0)
  assert.equal(full.droppedCount, 3)
})

test('a peer that went is told nothing more', () => {
  const few = cluster(3)
  few.peerDown('p1')
  few.peerDown('unknown')
  assert.deepEqual(
    few
      .spreadOwn(frameOf(), 0)
      .map(({ to }) => to)
      .sort(),
    ['a0', 'a2'],
  )
  few.peerUp('p1', 'moved')
  assert.ok(few.spreadOwn(frameOf(), 0).some(({ to }) => to === 'moved'))
})
