import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLog } from '#base'
import type { NodeEnv, SimNode, World } from '#sim'
import { parseActorId } from '../changes/actor-id.ts'
import { HybridClock } from '../changes/hybrid-clock.ts'
import { needCount } from '../gossip/compute-needs.ts'
import { Store } from '../store/store.ts'
import { MemoryTransport } from '../transport/memory-transport.ts'
import { ClusterNode } from './cluster-node.ts'

const SCHEMA = `
CREATE TABLE shared (id INTEGER NOT NULL PRIMARY KEY, a DEFAULT 'none', b INTEGER);
CREATE TABLE owned (writer TEXT NOT NULL, n INTEGER NOT NULL, body TEXT, PRIMARY KEY (writer, n));`
const CLUSTER_ID = 1
/** New nodes ask the first ones. */
const BOOTSTRAP_NODES = 2
const log = createLog({ part: 'corrosion', level: 'fatal' })

/** A whole node: store, gossip, sync and membership over the simulated network. */
export class SimAgent {
  readonly store: Store
  #cluster: ClusterNode | undefined
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
    agent.#cluster = await ClusterNode.start(
      {
        store: agent.store,
        clusterId: CLUSTER_ID,
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

  get cluster(): ClusterNode {
    assert(this.#cluster !== undefined, 'the node has booted')
    return this.#cluster
  }

  /** Rows `from` to `to` of the table that only this node writes to, as one transaction. */
  writeOwned(from: number, to = from): void {
    const insert = this.store.statement(`INSERT INTO owned VALUES (?, ?, ?)`)
    this.cluster.transaction(() => {
      for (let n = from; n <= to; n += 1) insert.run(this.#env.id, n, `body ${n}`)
    })
  }

  /** How many rows of that node are here. */
  ownedRows(writer: string): number {
    const count = this.store.statement(`SELECT count(*) AS n FROM owned WHERE writer = ?`)
    return Number(count.get(writer)?.['n'])
  }

  /** One random transaction, as large as `rowsMax` rows. Returns the owned row's number. */
  write(n: number, rowsMax: number): number {
    const { random } = this.#env
    const { store, cluster } = this
    cluster.transaction(() => {
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

/** Nodes with their databases in a folder of their own, which goes with them. */
export class SimCluster implements Disposable {
  readonly nodes: SimNode<SimAgent>[] = []
  readonly #world: World
  readonly #folder = mkdtempSync(join(tmpdir(), 'godwit-cluster-'))
  readonly #stores = new Map<string, Store>()

  constructor(world: World, count: number) {
    this.#world = world
    for (let at = 0; at < count; at += 1) this.add()
  }

  /** One node more. A node that starts again finds its database. */
  add(): SimNode<SimAgent> {
    const index = this.nodes.length
    const address = addressOf(index)
    const bootstrap = Array.from({ length: BOOTSTRAP_NODES }, (_, at) => addressOf(at))
    const node = this.#world.addNode(address, async (env) => {
      this.#stores.get(address)?.close() // what the crash left open
      this.#stores.delete(address)
      const path = join(this.#folder, `${index}.db`)
      const agent = await SimAgent.boot(env, path, index, bootstrap)
      this.#stores.set(address, agent.store)
      return agent
    })
    this.nodes.push(node)
    return node
  }

  at(index: number): SimNode<SimAgent> {
    const node = this.nodes[index]
    assert(node !== undefined, 'the cluster has that node')
    return node
  }

  /** Until every node is up and has booted. */
  async ready(): Promise<void> {
    const areReady = () => this.nodes.every(({ isReady }) => isReady)
    await this.#world.eventuallyAsync('all nodes have booted', areReady, { withinMs: 1_000 })
  }

  /** Until every node knows all versions. @throws SimFailure sim.never_happened */
  async converge(withinMs: number): Promise<void> {
    const endMs = this.#world.nowMs + withinMs
    for (;;) {
      await this.#world.runAsync({ forMs: 500 })
      if (this.nodes.every(({ isReady }) => isReady) && hasConverged(this.nodes)) return
      if (this.#world.nowMs < endMs) continue
      const shown = this.nodes
        .filter(({ isReady }) => isReady)
        .map(({ id, app }) => ({ id, ...app.store.syncState() }))
      this.#world.fail('sim.never_happened', 'all nodes know all versions', undefined, { shown })
    }
  }

  /** Rows and changes are the same on every node. */
  assertEqual(): void {
    const [first, ...others] = this.nodes.map(({ app }) => contents(app.store))
    const text = JSON.stringify(first)
    for (const other of others) {
      // Texts compare fast; what differs is shown by the slow way.
      if (JSON.stringify(other) !== text) assert.deepEqual(other, first)
    }
  }

  [Symbol.dispose](): void {
    for (const store of this.#stores.values()) store.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

const addressOf = (index: number) => `10.0.0.${index + 1}:8787`

function hasConverged(nodes: readonly SimNode<SimAgent>[]): boolean {
  const states = nodes.map(({ app }) => app.store.syncState())
  const heads = states.map((state) => JSON.stringify([...state.heads].sort()))
  return states.every((state) => needCount(state) === 0) && new Set(heads).size === 1
}

function contents(store: Store): unknown[] {
  store.settle()
  const all = (sql: string) => {
    const statement = store.database.prepare(sql)
    statement.setReturnArrays(true)
    return statement.all()
  }
  const tables = ['shared', 'owned'].map((table) => all(`SELECT * FROM ${table} ORDER BY 1, 2`))
  const changes = all(
    `SELECT "table", hex(pk), cid, val, col_version, db_version, hex(site_id), cl, seq FROM crsql_changes
     ORDER BY 1, 2, 3`,
  )
  return [...tables, changes]
}
