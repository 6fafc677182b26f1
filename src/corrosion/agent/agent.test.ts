import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { pollUntil } from '#base'
import {
  type CertificateAuthority,
  generateClientCertificate,
  generateClusterCa,
  generateServerCertificate,
} from '#trust'
import { backup, restore } from '../store/backup.ts'
import { askAgent, refuseWhileRunning } from './admin-client.ts'
import { Agent } from './agent.ts'
import { loadAgentConfig } from './agent-config.ts'

const SCHEMA = `CREATE TABLE tests (id INTEGER NOT NULL PRIMARY KEY, text TEXT NOT NULL DEFAULT '');`
const CONVERGE_MS = 30_000

interface FleetChanges {
  readonly ca?: CertificateAuthority
  /** PEM. @default of `ca` */
  readonly trusted?: string
  readonly clusterId?: number
}

/** Agents in this process, over QUIC on loopback. */
class Fleet {
  readonly folder: string
  readonly agents: Agent[] = []
  readonly #ca: CertificateAuthority

  constructor(t: TestContext, ca: CertificateAuthority) {
    this.folder = mkdtempSync(join(tmpdir(), 'godwit-agents-'))
    this.#ca = ca
    t.after(async () => {
      for (const agent of this.agents) await agent.stop()
      rmSync(this.folder, { recursive: true })
    })
    this.declare(SCHEMA)
  }

  static async start(t: TestContext, count: number, ca?: CertificateAuthority): Promise<Fleet> {
    const fleet = new Fleet(t, ca ?? (await generateClusterCa()))
    for (let index = 0; index < count; index += 1) await fleet.add()
    await fleet.until('all know each other', () =>
      fleet.agents.every(({ node }) => node.members.size === count - 1),
    )
    return fleet
  }

  /** What all agents read at their next reload. */
  declare(schema: string): void {
    writeFileSync(join(this.folder, 'schema.sql'), schema)
  }

  async add(changes: FleetChanges = {}): Promise<Agent> {
    const agent = await Agent.start(await this.config(changes), (error) =>
      assert.fail(String(error)),
    )
    this.agents.push(agent)
    return agent
  }

  /** Each file whole, in the place of what was there. @param trusted PEM */
  async putTls(index: number, ca: CertificateAuthority, trusted: string): Promise<void> {
    const own = join(this.folder, `n${index}`)
    const client = await generateClientCertificate(ca)
    const server = await generateServerCertificate(ca, { names: ['127.0.0.1'] })
    const files = {
      'ca.pem': trusted,
      'server.pem': server.certificatePem,
      'server.key': server.privateKeyPem,
      'client.pem': client.certificatePem,
      'client.key': client.privateKeyPem,
    }
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(join(own, 'new'), text)
      renameSync(join(own, 'new'), join(own, name))
    }
  }

  async config({ ca = this.#ca, trusted = ca.certificatePem, clusterId = 0 }: FleetChanges = {}) {
    const own = join(this.folder, `n${this.agents.length}`)
    mkdirSync(own, { recursive: true })
    await this.putTls(this.agents.length, ca, trusted)
    const bootstrap = this.agents.slice(0, 2).map(({ node }) => `"${node.transport.address}"`)
    const toml = `
db = { path = "${own}/state.db", schema_paths = ["${this.folder}/schema.sql"] }
api = { bind_addr = "127.0.0.1:0" }
admin = { uds_path = "${own}/admin.sock" }
telemetry = { prometheus = { bind_addr = "127.0.0.1:0" } }
log = { level = "error" }
[gossip]
bind_addr = "127.0.0.1:0"
cluster_id = ${clusterId}
bootstrap = [${bootstrap.join(', ')}]
[gossip.tls]
ca_file = "${own}/ca.pem"
cert_file = "${own}/server.pem"
key_file = "${own}/server.key"
client = { cert_file = "${own}/client.pem", key_file = "${own}/client.key" }
`
    const path = join(own, 'agent.toml')
    writeFileSync(path, toml)
    return loadAgentConfig(path)
  }

  at(index: number): Agent {
    return this.agents[index] as Agent
  }

  until(what: string, isSo: () => boolean): Promise<true> {
    return pollUntil(what, () => isSo() || undefined, { deadlineMs: CONVERGE_MS, intervalMs: 10 })
  }

  /** All agents hold equal rows, as far as these columns tell. */
  equal(what: string, columns = 'id, text'): Promise<true> {
    const rows = () => this.agents.map((agent) => rowsOf(agent, columns))
    return this.until(what, () => new Set(rows()).size === 1)
  }

  bytesSent(): number {
    return this.agents.reduce((sum, { node }) => sum + node.transport.counters.bytesSent, 0)
  }
}

const rowsOf = ({ store }: Agent, columns = 'id, text') =>
  JSON.stringify(store.database.prepare(`SELECT ${columns} FROM tests ORDER BY id`).all())

function write(agent: Agent, sql: string, ...values: (bigint | string)[]): void {
  agent.transaction(() => agent.store.statement(sql).run(...values))
}

test('a schema change while five agents write: no error, nothing sent again', async (t) => {
  const fleet = await Fleet.start(t, 5)
  let id = 0n
  const insert = `INSERT INTO tests (id, text) VALUES (?, ?)`
  const writeRound = () => {
    for (const agent of fleet.agents) write(agent, insert, id++, 'text')
  }
  /** Bytes on the wire of all agents for ten rounds of five transactions, each until all have them. */
  const measure = async (between: (round: number) => void): Promise<number> => {
    const before = fleet.bytesSent()
    for (let round = 0; round < 10; round += 1) {
      between(round)
      writeRound()
      await fleet.equal(`round ${round} is everywhere`)
    }
    return fleet.bytesSent() - before
  }
  for (let round = 0; round < 400; round += 1) writeRound()
  await fleet.equal('2,000 rows everywhere')
  const usual = await measure(() => undefined)
  fleet.declare(
    `${SCHEMA.replace(');', `, extra TEXT NOT NULL DEFAULT 'none', n INTEGER);`)}
     CREATE INDEX tests_n ON tests (n); CREATE TABLE more (id INTEGER NOT NULL PRIMARY KEY);`,
  )
  const heads = fleet.agents.map(({ store }) => store.head)
  const during = await measure((round) => {
    if (round % 2 === 0) fleet.at(round / 2).reloadSchema()
    write(fleet.at(0), insert, id++, 'one more')
  })
  for (const [at, { store, node }] of fleet.agents.entries()) {
    const wrote = at === 0 ? 20 : 10
    assert.equal(store.head, (heads[at] as number) + wrote, 'no version for the schema')
    assert.equal(node.counters.refused, 0)
  }
  write(fleet.at(0), `UPDATE tests SET extra = 'new' WHERE id = 1`)
  await fleet.equal('the new column replicates', 'id, text, extra, n')
  const perWrite = { usual: usual / 50, during: during / 60 }
  t.diagnostic(`bytes on the wire a transaction: ${JSON.stringify(perWrite)}`)
  assert.ok(perWrite.during < perWrite.usual * 1.5, JSON.stringify(perWrite))
})

test('a late schema on one node: what it cannot take waits for it, without a restart', async (t) => {
  const fleet = await Fleet.start(t, 3)
  fleet.declare(SCHEMA.replace(');', `, extra TEXT);`))
  fleet.at(0).reloadSchema()
  fleet.at(1).reloadSchema()
  write(fleet.at(0), `INSERT INTO tests (id, text) VALUES (?, ?)`, 1n, 'before')
  write(fleet.at(0), `INSERT INTO tests VALUES (2, 'needs it', 'extra')`)
  await fleet.equal('the columns that all have are everywhere at once')
  fleet.at(2).reloadSchema()
  await fleet.equal('it has all rows', 'id, text, extra')
  assert.equal(fleet.at(2).health().gaps, 0)
})

test('a new agent catches up, and one that was restored from a backup goes by an id of its own', async (t) => {
  const fleet = await Fleet.start(t, 2)
  for (let id = 0n; id < 500n; id += 1n) {
    write(fleet.at(Number(id % 2n)), `INSERT INTO tests VALUES (?, ?)`, id, `row ${id}`)
  }
  await fleet.equal('two agents')
  const third = await fleet.add()
  await fleet.equal('a new agent has all rows')

  const copy = join(fleet.folder, 'copy.db')
  backup(fleet.at(0).config.db.path, copy)
  assert.throws(() => backup(fleet.at(0).config.db.path, copy), { code: 'corrosion.file_exists' })
  write(fleet.at(0), `UPDATE tests SET text = 'after the backup' WHERE id = 1`)
  await assert.rejects(refuseWhileRunning(third.config.admin.uds_path), {
    code: 'sync.agent_running',
  })
  const before = third.actor
  await third.stop()
  await refuseWhileRunning(third.config.admin.uds_path)
  const actor = restore(copy, third.config.db.path)
  const again = await Agent.start(third.config, (error) => assert.fail(String(error)))
  fleet.agents[2] = again
  assert.equal(again.actor, actor)
  assert.ok(![before, fleet.at(0).actor, fleet.at(1).actor].includes(again.actor))
  write(again, `INSERT INTO tests VALUES (?, ?)`, 1_000n, 'from the restored one')
  await fleet.equal('equal rows after the restore')
  assert.deepEqual(again.store.bookkeepingDifferences(), [])
})

test('agents of another CA, and of another cluster id, are kept out', async (t) => {
  const fleet = await Fleet.start(t, 2)
  const stranger = await fleet.add({ ca: await generateClusterCa() })
  const other = await fleet.add({ clusterId: 7 })
  write(fleet.at(0), `INSERT INTO tests VALUES (1, 'ours')`)
  write(stranger, `INSERT INTO tests VALUES (2, 'of a stranger')`)
  write(other, `INSERT INTO tests VALUES (3, 'of another cluster')`)
  await fleet.until(
    'the stranger has tried',
    () => stranger.node.transport.counters.connectsFailed > 0,
  )
  await fleet.until(
    'the other one has spoken',
    () => other.node.transport.counters.datagramsSent > 1,
  )
  await fleet.until('ours is told', () => rowsOf(fleet.at(1)).includes('ours'))
  const counts = fleet.agents.map(
    ({ store }) => store.database.prepare('SELECT count(*) AS n FROM tests').get()?.['n'],
  )
  assert.deepEqual(counts, [1, 1, 1, 1])
  assert.deepEqual(
    fleet.agents.map(({ node }) => node.members.size),
    [1, 1, 0, 0],
  )
})

test('agents take other TLS files while they run: of a new authority beside the old one, then of it alone', async (t) => {
  const [oldCa, newCa] = [await generateClusterCa(), await generateClusterCa()]
  const both = oldCa.certificatePem + newCa.certificatePem
  const fleet = await Fleet.start(t, 2, oldCa)
  const refusals = () =>
    fleet.agents.reduce((sum, { node }) => sum + node.transport.counters.connectsFailed, 0)
  const early = await fleet.add({ ca: newCa, trusted: both })
  write(early, `INSERT INTO tests VALUES (1, 'of one with new certificates')`)
  await fleet.until('it has been refused', () => refusals() > 0)
  assert.equal(early.node.members.size, 0)

  for (const index of [0, 1]) await fleet.putTls(index, oldCa, both)
  await fleet.until('it is heard', () => rowsOf(fleet.at(0)).includes('new certificates'))
  write(fleet.at(1), `INSERT INTO tests VALUES (2, 'of one with old certificates')`)
  await fleet.equal('both ways')

  for (const index of [0, 1, 2]) await fleet.putTls(index, newCa, newCa.certificatePem)
  await fleet.add({ ca: newCa })
  write(fleet.at(0), `INSERT INTO tests VALUES (3, 'after the change')`)
  await fleet.equal('one that never knew the old authority has all rows')
  await fleet.until('all know each other', () =>
    fleet.agents.every(({ node }) => node.members.size === 3),
  )
  const before = refusals()
  const late = await fleet.add({ ca: oldCa, trusted: both })
  write(late, `INSERT INTO tests VALUES (4, 'of one that was forgotten')`)
  await fleet.until('it has been refused', () => refusals() > before)
  assert.equal(late.node.members.size, 0)
  assert(!rowsOf(fleet.at(0)).includes('forgotten'))
})

test('the admin socket answers as Corrosion does, and survives nonsense', async (t) => {
  const fleet = await Fleet.start(t, 2)
  const path = fleet.at(0).config.admin.uds_path
  const ask = async (command: unknown) => {
    const json: unknown[] = []
    for await (const frame of askAgent(path, command)) {
      if (typeof frame === 'object' && 'Json' in frame) json.push(frame.Json)
    }
    return json
  }
  assert.deepEqual(await ask('Ping'), [])
  write(fleet.at(0), `INSERT INTO tests VALUES (1, 'x')`)
  const [state] = (await ask({ Sync: 'Generate' })) as { actor_id: string; heads: object }[]
  assert.deepEqual(Object.values(state?.heads ?? {}), [1])
  assert.equal((await ask({ Cluster: 'Members' })).length, 1)
  assert.equal((await ask({ Cluster: 'MembershipStates' })).length, 1)
  const version = { Actor: { Version: { actor_id: state?.actor_id, version: 1 } } }
  assert.deepEqual(await ask(version), [{ current: { db_version: 1, last_seq: 0 } }])
  const [report] = (await ask({ Sync: 'CheckBookieConsistency' })) as { ok: boolean }[]
  assert.equal(report?.ok, true)
  for (const bad of ['Nope', { Sync: 'Nope' }, {}, { a: 1, b: 2 }, null, 7]) {
    await assert.rejects(ask(bad), { code: 'sync.command_failed' })
  }
  fleet.declare('CREATE TABLE broken (id)')
  await assert.rejects(ask('Reload'), { code: 'sync.command_failed' })
  assert.deepEqual(await ask('Ping'), [])
})
