import assert from 'node:assert/strict'
import { defineScenario, type SimNode, type World } from '#sim'
import { type SimAgent, SimCluster } from './sim-cluster.fixture.ts'

/**
 * Nodes that write anything while everything breaks. Once links heal and writes stop, all hold equal rows and equal
 * changes, no gap is left, and no write that was acknowledged is lost.
 */
export const scenario = defineScenario({
  name: 'cluster',
  describe: 'nodes converge after any history of writes, crashes, partitions and loss',
  defaults: { nodes: 4, writesMs: 20_000, everyMs: 200, rowsMax: 300, quietMs: 180_000 },
  world: () => ({ network: { link: { latencyMs: 20, jitterMs: 10 } } }),
  async run(world, { nodes: count, writesMs, everyMs, rowsMax, quietMs }) {
    using cluster = new SimCluster(world, count)
    await world.runAsync({ forMs: 3_000 })
    world.startFaults(faultsOf(world))
    const acknowledged = new Map<string, number>()
    for (let ms = 0; ms < writesMs; ms += everyMs) {
      for (const node of cluster.nodes) writeOnce(world, node, acknowledged, rowsMax)
      await world.runAsync({ forMs: everyMs })
    }
    world.heal()
    await cluster.converge(quietMs)
    cluster.assertEqual()
    assertNothingIsLost(cluster.nodes, acknowledged)
  },
})

function faultsOf(world: World) {
  const random = world.random('faults')
  const sometimes = (ms: number) => (random.int(2) === 0 ? { every: ms } : undefined)
  const partition = sometimes(4_000)
  const cut = sometimes(5_000)
  const crash = sometimes(3_000)
  const pause = sometimes(6_000)
  return {
    lossRatio: random.next() * 0.1,
    duplicateRatio: random.next() * 0.1,
    reorderRatio: random.next() * 0.2,
    ...(partition && { partitionEveryMs: partition.every }),
    ...(cut && { asymmetricCutEveryMs: cut.every }),
    ...(crash && { crashEveryMs: crash.every }),
    ...(pause && { pauseEveryMs: pause.every }),
    skewEveryMs: 10_000,
  }
}

/** The clock of one node's acknowledged writes: its owned rows 1 to n. */
function writeOnce(
  world: World,
  node: SimNode<SimAgent>,
  acknowledged: Map<string, number>,
  rowsMax: number,
): void {
  if (!node.isUp || !node.isReady || world.random('writes').int(3) === 0) return
  const n = (acknowledged.get(node.id) ?? 0) + 1
  node.app.write(n, rowsMax)
  acknowledged.set(node.id, n)
}

function assertNothingIsLost(
  nodes: readonly SimNode<SimAgent>[],
  acknowledged: ReadonlyMap<string, number>,
): void {
  for (const { app } of nodes) {
    for (const [writer, n] of acknowledged) {
      assert.equal(app.ownedRows(writer), n, `acknowledged writes of ${writer}`)
    }
  }
}
