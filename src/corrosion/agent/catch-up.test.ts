import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type SimNode, World } from '#sim'
import { needCount } from '../gossip/compute-needs.ts'
import { encodeBroadcast } from '../wire/broadcast.ts'
import { type SimAgent, SimCluster } from './sim-cluster.fixture.ts'

const LINK = { latencyMs: 20, jitterMs: 10 }
const FORMED_MS = 3_000
const CLUSTER_ID = 1

test('a node that was away for long and a new one catch up while the others keep their pace', async () => {
  const world = new World({ seed: 1, network: { link: LINK } })
  using cluster = new SimCluster(world, 4)
  const a = cluster.at(0)
  const b = cluster.at(1)
  const c = cluster.at(2)
  const away = cluster.at(3)
  const writers = [a, b, c]
  await world.runAsync({ forMs: FORMED_MS })
  away.crash()
  let n = 0
  const writeAndSee = async () => {
    n += 1
    for (const { app } of writers) app.writeOwned(n)
    await world.runAsync({ forMs: 100 })
    for (const { app } of writers) {
      for (const { id } of writers) assert.equal(app.ownedRows(id), n, `row ${n} of ${id}`)
    }
  }
  while (n < 600) await writeAndSee()
  away.start()
  const fresh = cluster.add()
  await cluster.ready()
  const behind = [away, fresh].map(({ app }) => app)
  assert.ok(behind.every((app) => app.ownedRows(a.id) === 0))
  for (let round = 0; round < 100; round += 1) await writeAndSee()
  for (const app of behind) {
    for (const { id } of writers) assert.ok(app.ownedRows(id) >= n - 1, 'it keeps up as well')
    assert.equal(needCount(app.store.syncState()), 0)
  }
  await cluster.converge(5_000)
  cluster.assertEqual()
})

test('a transaction of 100,000 rows goes on where it was when its receiver is killed', async () => {
  const rows = 100_000
  const world = new World({ seed: 2, network: { link: { ...LINK, bytesPerMs: 1_000 } } })
  using cluster = new SimCluster(world, 3)
  const a = cluster.at(0)
  const killed = cluster.at(1)
  const c = cluster.at(2)
  await world.runAsync({ forMs: FORMED_MS })
  a.app.writeOwned(1, rows)
  let missing = rows
  for (let kill = 0; kill < 3; kill += 1) {
    for (let step = 0; step < 25; step += 1) {
      await world.runAsync({ forMs: 100 })
      assert.equal(killed.app.ownedRows(a.id), 0, 'a part of a transaction is not to be seen')
    }
    const missingAtDeath = missingSeqs(killed)
    assert.ok(missingAtDeath < missing, 'each life brings it further')
    missing = missingAtDeath
    killed.crash('process')
    killed.start()
    await cluster.ready()
    assert.equal(missingSeqs(killed), missing, 'what was here before is still')
  }
  await cluster.converge(60_000)
  cluster.assertEqual()
  assert.equal(killed.app.ownedRows(a.id), rows)
  const bytesTo = ({ id }: SimNode<SimAgent>, from: readonly SimNode<SimAgent>[]) =>
    from.reduce((sum, peer) => sum + world.network.counts(peer.id, id).sentBytes, 0)
  const spared = bytesTo(c, [a])
  const sent = bytesTo(killed, [a, c])
  assert.ok(sent < 1.5 * spared, `${sent} bytes for one that lives through it in ${spared}`)
})

test('a burst of 30,000 changes keeps the inbox bounded, and all of them arrive in the end', async () => {
  const changes = 30_000
  const world = new World({ seed: 3, network: { link: LINK } })
  using cluster = new SimCluster(world, 3)
  const a = cluster.at(0)
  const b = cluster.at(1)
  await world.runAsync({ forMs: FORMED_MS })
  for (let n = 1; n <= changes; n += 1) a.app.writeOwned(n)
  for (let version = 1; version <= changes; version += 1) {
    for (const changeset of a.app.store.ownChangesets(version, 8_192)) {
      b.app.cluster.frameReceived(encodeBroadcast(changeset, CLUSTER_ID).subarray(4), a.id)
    }
  }
  const { cluster: full } = b.app
  assert.equal(full.counters.broadcastsReceived, changes)
  assert.ok(full.inboxLength <= 20_000, `${full.inboxLength} changes wait`)
  await cluster.converge(60_000)
  cluster.assertEqual()
  assert.equal(b.app.ownedRows(a.id), changes)
  assert.ok(full.counters.syncChangesetsReceived > 0, 'sync brought what was dropped')
})

function missingSeqs({ app }: SimNode<SimAgent>): number {
  let count = 0
  for (const versions of app.store.syncState().partialNeed.values()) {
    for (const ranges of versions.values()) {
      for (const { start, end } of ranges) count += end - start + 1
    }
  }
  return count
}
