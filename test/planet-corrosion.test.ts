import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import test, { type TestContext } from 'node:test'
import type { World } from '#planet'
import { generateClientCertificate, generateClusterCa, generateServerCertificate } from '#trust'
import { eventually, testPlanet } from './planet-world.ts'

const GODWIT = resolve(import.meta.dirname, '../bin/godwit')
const HOSTS = ['ams-1', 'iad-1', 'nrt-1'] as const
const CONVERGE_MS = 60_000
const SCHEMA = `
CREATE TABLE tests (id INTEGER NOT NULL PRIMARY KEY, text TEXT NOT NULL DEFAULT '', n INTEGER);
CREATE TABLE owned (host TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (host, n));`

/** A cluster of agents on three hosts of a planet, one a region. */
class Cluster {
  readonly #world: World
  readonly #folder: string

  constructor(world: World, folder: string) {
    this.#world = world
    this.#folder = folder
  }

  static async start(t: TestContext, world: World): Promise<Cluster> {
    const folder = mkdtempSync(join(tmpdir(), 'godwit-planet-corrosion-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const cluster = new Cluster(world, folder)
    const ca = await generateClusterCa()
    const client = await generateClientCertificate(ca)
    writeFileSync(join(folder, 'ca.pem'), ca.certificatePem)
    writeFileSync(join(folder, 'client.pem'), client.certificatePem)
    writeFileSync(join(folder, 'client.key'), client.privateKeyPem, { mode: 0o600 })
    writeFileSync(join(folder, 'schema.sql'), SCHEMA)
    for (const host of HOSTS) {
      const { ipv4 } = world.node(host).plan
      const server = await generateServerCertificate(ca, { names: [ipv4] })
      mkdirSync(join(folder, host))
      writeFileSync(join(folder, host, 'server.pem'), server.certificatePem)
      writeFileSync(join(folder, host, 'server.key'), server.privateKeyPem, { mode: 0o600 })
      writeFileSync(join(folder, host, 'agent.toml'), cluster.#config(host))
    }
    for (const host of HOSTS) await cluster.startAgent(host)
    for (const host of HOSTS) await cluster.ready(host)
    return cluster
  }

  async startAgent(host: string): Promise<void> {
    const config = join(this.#folder, host, 'agent.toml')
    await this.#world.start(host, 'corrosion', [GODWIT, 'corrosion', '-c', config, 'agent'])
  }

  async ready(host: string): Promise<void> {
    const ask = () => this.query(host, 'SELECT 1')
    await eventually(`the agent of ${host} answers`, ask, (rows) => rows !== undefined, CONVERGE_MS)
  }

  async write(host: string, statements: readonly unknown[]): Promise<number> {
    const answer = await this.#post(host, '/v1/transactions', statements)
    const { version } = JSON.parse(answer) as { version: number | null }
    assert.notEqual(version, null, answer)
    return version as number
  }

  /** Rows, or undefined while nobody answers. */
  async query(host: string, sql: string): Promise<unknown[][] | undefined> {
    try {
      const answer = await this.#post(host, '/v1/queries', sql)
      const events = answer
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
      assert.equal(events.find(({ error }) => error !== undefined)?.error, undefined)
      return events.flatMap(({ row }) => (row === undefined ? [] : [row[1]]))
    } catch {
      return undefined // the caller polls, and says what it last saw
    }
  }

  /** All rows and all changes of a host, as one text. */
  async contents(host: string): Promise<string> {
    const queries = [
      'SELECT * FROM tests ORDER BY id',
      'SELECT * FROM owned ORDER BY host, n',
      `SELECT "table", hex(pk), cid, val, col_version, db_version, hex(site_id), cl, seq
       FROM crsql_changes ORDER BY 1, 2, 3`,
      'SELECT actor_id, start, "end" FROM __corro_bookkeeping_gaps',
    ]
    const answers = []
    for (const sql of queries) answers.push(await this.query(host, sql))
    return JSON.stringify(answers)
  }

  /** Waits until all hosts hold the same rows and changes, without gaps; gives the number of rows. */
  async equal(what: string): Promise<number> {
    const look = async () => {
      const all = []
      for (const host of HOSTS) all.push(await this.contents(host))
      return all.map((text) => ({ text, isWhole: text.endsWith(',[]]') }))
    }
    const isGood = (seen: Awaited<ReturnType<typeof look>>) =>
      new Set(seen.map(({ text }) => text)).size === 1 && seen.every(({ isWhole }) => isWhole)
    const [first] = await eventually(what, look, isGood, CONVERGE_MS)
    const [tests, owned] = JSON.parse(first?.text ?? '[]') as [unknown[], unknown[]]
    return tests.length + owned.length
  }

  #post(host: string, path: string, body: unknown): Promise<string> {
    const json = ['-H', 'content-type: application/json', '-d', JSON.stringify(body)]
    const url = `http://127.0.0.1:8080${path}`
    return this.#world.node(host).run('curl', ['-sS', '--max-time', '5', ...json, url])
  }

  #config(host: string): string {
    const at = (name: string) => JSON.stringify(join(this.#folder, host, name))
    const shared = (name: string) => JSON.stringify(join(this.#folder, name))
    const peers = HOSTS.map((name) => `"${this.#world.node(name).plan.ipv4}:8787"`)
    return `[db]
path = ${at('state.db')}
schema_paths = [${shared('schema.sql')}]
[api]
bind_addr = "127.0.0.1:8080"
[gossip]
bind_addr = "${this.#world.node(host).plan.ipv4}:8787"
bootstrap = [${peers.join(', ')}]
[gossip.tls]
ca_file = ${shared('ca.pem')}
cert_file = ${at('server.pem')}
key_file = ${at('server.key')}
client = { cert_file = ${shared('client.pem')}, key_file = ${shared('client.key')} }
[admin]
uds_path = ${at('admin.sock')}
`
  }
}

test('a corrosion cluster on three hosts', async (t) => {
  const world = await testPlanet(t, 'corrosion', { latency: true, bgp_hold_s: 3 })
  const cluster = await Cluster.start(t, world)
  const [ams, iad, nrt] = HOSTS
  let written = 0
  const own = async (host: string, from: number, to: number) => {
    for (let n = from; n <= to; n += 1) {
      await cluster.write(host, [['INSERT INTO owned VALUES (?, ?)', [host, n]]])
      written += 1
    }
  }

  await t.test('what one host writes, all read', async () => {
    for (const host of HOSTS) await own(host, 1, 5)
    await cluster.write(ams, [`INSERT INTO tests VALUES (1, 'first', 0)`])
    written += 1
    assert.equal(await cluster.equal('all hosts have equal rows'), written)
  })

  await t.test('hosts that are cut off go on, and agree once the link is healed', async () => {
    await world.cut('ams', ams)
    await world.settle()
    await own(ams, 6, 10)
    await own(iad, 6, 10)
    await cluster.write(ams, [`UPDATE tests SET text = 'ams', n = 1 WHERE id = 1`])
    await cluster.write(iad, [`UPDATE tests SET text = 'iad' WHERE id = 1`])
    await cluster.write(iad, [`UPDATE tests SET text = 'iad again' WHERE id = 1`])
    const seen = await cluster.query(ams, `SELECT count(*) FROM owned WHERE host = '${iad}'`)
    assert.deepEqual(seen, [[5]], 'nothing comes through a cut link')
    await world.heal('ams', ams)
    await world.settle()
    assert.equal(await cluster.equal('both sides have equal rows'), written)
    const merged = await cluster.query(nrt, 'SELECT text, n FROM tests')
    assert.deepEqual(merged, [['iad again', 1]], 'more updates win, column by column')
  })

  await t.test('a host that dies loses nothing that it acknowledged, and catches up', async () => {
    await own(nrt, 6, 10)
    await world.kill(nrt)
    await own(ams, 11, 20)
    await cluster.write(iad, [`DELETE FROM tests WHERE id = 1`])
    written -= 1
    await world.boot(nrt)
    await world.settle()
    await cluster.startAgent(nrt)
    await cluster.ready(nrt)
    assert.equal(await cluster.equal('the dead host is back with equal rows'), written)
  })

  await t.test(
    'an agent that is killed and started again has its rows, and others have them',
    async () => {
      await own(iad, 11, 15)
      await world.stop(iad, 'corrosion')
      await own(nrt, 11, 15)
      await cluster.startAgent(iad)
      await cluster.ready(iad)
      assert.equal(await cluster.equal('equal rows after the restart'), written)
    },
  )
})
