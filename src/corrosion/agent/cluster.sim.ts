import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLog } from '#base'
import { defineScenario, type NodeEnv, type SimNode, type World } from '#sim'
import { parseActorId } from '../changes/actor-id.ts'
import { HybridClock } from '../changes/hybrid-clock.ts'
import { needCount } from '../gossip/compute-needs.ts'
import { Store } from '../store/store.ts'
import { MemoryTransport } from '../transport/memory-transport.ts'
import { ClusterNode } from './cluster-node.ts'

const SCHEMA = `
CREATE TABLE shared (id INTEGER NOT NULL PRIMARY KEY, a DEFAULT 'none', b INTEGER);
CREATE TABLE owned (writer TEXT NOT NULL, n INTEGER NOT NULL, body TEXT, PRIMARY KEY (writer, n));`
const log = createLog({ part: 'corrosion', level: 'fatal' })

/** A whole node: store, gossip, sync and membership over the simulated network. */
class SimAgent {
  readonly store: Store
  cluster: ClusterNode | undefined
  readonly #env: NodeEnv

  constructor(env: NodeEnv, path: string, hlc: HybridClock, index: number) {
    this.#env = env
    this.store = new Store({
      path,
      synchronous: 'off',
      cacheKib: 512,
      now: () => hlc.now(),
      newActorId: () => parseActorId(`${index + 1}`.padStart(2, '0').repeat(16)),
    })
    this.store.migrate(SCHEMA)
  }

  static async boot(env: NodeEnv, path: string, index: number, bootstrap: readonly string[]) {
    const hlc = new HybridClock(env.clock)
    const agent = new SimAgent(env, path, hlc, index)
    const open = (handlers: ConstructorParameters<typeof MemoryTransport>[0]['handlers']) =>
      new MemoryTransport({ address: env.id, network: env.network, clock: env.clock, handlers })
    agent.cluster = await ClusterNode.start(
      {
        store: agent.store,
        clusterId: 1,
        clock: env.clock,
        hlc,
        random: env.random,
        log,
        bootstrap,
        touched: () => undefined,
        fatal: (error) => {
          throw error
        },
      },
      open,
    )
    return agent
  }

  /** One random transaction, as large as `rowsMax` rows. Returns the owned row's number. */
  write(n: number, rowsMax: number): number {
    const { random } = this.#env
    const { store, cluster } = this
    cluster?.transaction(() => {
      for (let left = random.int(3); left > 0; left -= 1) this.#writeShared()
      const insert = store.statement(`INSERT INTO owned VALUES (?, ?, ?)`)
      insert.run(this.#env.id, n, `body ${n}`)
      const rows = random.int(20) === 0 ? random.int(rowsMax) : 0
      for (let row = 0; row < rows; row += 1) {
        insert.run(`${this.#env.id}/${n}`, row, 'x'.repeat(100))
      }
    })
    return n
  }

  #writeShared(): void {
    const { random } = this.#env
    const id = random.int(6)
    const value = random.int(5)
    const statements = [
      `INSERT OR REPLACE INTO shared (id, a) VALUES (${id}, ${value})`,
      `UPDATE shared SET a = 'v${value}' WHERE id = ${id}`,
      `UPDATE shared SET b = ${value} WHERE id = ${id}`,
      `DELETE FROM shared WHERE id = ${id}`,
      `UPDATE OR REPLACE shared SET id = ${value} WHERE id = ${id}`,
    ]
    this.store.statement(statements[random.int(statements.length)] as string).run()
  }
}

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
    const folder = mkdtempSync(join(tmpdir(), 'godwit-cluster-'))
    try {
      const addresses = Array.from({ length: count }, (_, at) => `10.0.0.${at + 1}:8787`)
      const stores = new Map<string, Store>()
      const nodes = addresses.map((address, at) =>
        world.addNode(address, async (env) => {
          stores.get(address)?.close() // what the crash left open
          const agent = await SimAgent.boot(
            env,
            join(folder, `${at}.db`),
            at,
            addresses.slice(0, 2),
          )
          stores.set(address, agent.store)
          return agent
        }),
      )
      await world.runAsync({ forMs: 3_000 })
      world.startFaults(faultsOf(world))
      const acknowledged = new Map<string, number>()
      for (let ms = 0; ms < writesMs; ms += everyMs) {
        for (const node of nodes) writeOnce(world, node, acknowledged, rowsMax)
        await world.runAsync({ forMs: everyMs })
      }
      world.heal()
      await converge(world, nodes, quietMs)
      assertEqual(nodes, acknowledged)
      for (const store of stores.values()) store.close()
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
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

async function converge(
  world: World,
  nodes: readonly SimNode<SimAgent>[],
  quietMs: number,
): Promise<void> {
  const endMs = world.nowMs + quietMs
  for (;;) {
    await world.runAsync({ forMs: 500 })
    if (nodes.every(({ isReady }) => isReady) && hasConverged(nodes)) return
    if (world.nowMs < endMs) continue
    const shown = nodes.map(({ id, app }) => ({ id, ...app.store.syncState() }))
    world.fail('sim.never_happened', 'all nodes know all versions', undefined, { shown })
  }
}

function hasConverged(nodes: readonly SimNode<SimAgent>[]): boolean {
  const states = nodes.map(({ app }) => app.store.syncState())
  const heads = states.map((state) => JSON.stringify([...state.heads].sort()))
  return states.every((state) => needCount(state) === 0) && new Set(heads).size === 1
}

function assertEqual(
  nodes: readonly SimNode<SimAgent>[],
  acknowledged: ReadonlyMap<string, number>,
): void {
  const [first, ...others] = nodes.map(({ app }) => contents(app.store))
  for (const other of others) assert.deepEqual(other, first)
  for (const { app } of nodes) {
    for (const [writer, n] of acknowledged) {
      const found = app.store.database
        .prepare(`SELECT count(*) AS n FROM owned WHERE writer = ? AND n BETWEEN 1 AND ?`)
        .get(writer, n)
      assert.equal(found?.['n'], n, `acknowledged writes of ${writer}`)
    }
  }
}

function contents(store: Store): unknown[] {
  store.settle()
  const tables = ['shared', 'owned'].map((table) =>
    store.database.prepare(`SELECT * FROM ${table} ORDER BY 1, 2`).all(),
  )
  const changes = store.database.prepare(
    `SELECT "table", hex(pk), cid, val, col_version, db_version, hex(site_id), cl, seq FROM crsql_changes
     ORDER BY 1, 2, 3`,
  )
  return [...tables, changes.all()]
}
