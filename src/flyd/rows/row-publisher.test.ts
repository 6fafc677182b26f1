import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test from 'node:test'
import { createLog, pollUntil, seededRandom, systemClock } from '#base'
import { Agent, ApiClient, loadAgentConfig, PLATFORM_SCHEMA, writeTrialAgent } from '#corrosion'
import { fc } from '#property'
import { corrosionRowStore } from './corrosion-row-store.ts'
import { type HostSelf, hostRows } from './host-rows.ts'
import { machineRows, volumeRow } from './machine-rows.ts'
import {
  type Cell,
  hostColumn,
  ROW_COLUMNS,
  ROW_KEYS,
  type Row,
  type RowTable,
  rowId,
  rowText,
} from './row.ts'
import { RowPublisher } from './row-publisher.ts'
import type { RowStore } from './row-store.ts'
import { machineSeen, TestView, volumeSeen } from './view.fixture.ts'

const log = createLog({ part: 'flyd', level: 'silent', format: 'json' })
const DEADLINE = { deadlineMs: 30_000 }

const self: HostSelf = {
  id: 'h1',
  region: { code: 'ams', name: 'Amsterdam', latitude: 52.37, longitude: 5 },
  state: 'ready',
  version: '0.1.0',
  backhaulIp: 'fd00::1',
  isGateway: true,
  isEdge: false,
  arch: 'amd64',
  cpus: 8,
  memoryMb: 65_536,
  diskGb: 500,
  startedAtMs: 1_000,
  updatedAtMs: 1_000,
}

/** The replica as a plain database; `fails` makes it be away. */
class TestReplica implements RowStore {
  readonly database = new DatabaseSync(':memory:')
  fails = false
  writes = 0

  constructor() {
    this.database.exec(PLATFORM_SCHEMA)
    this.database.exec(`
      INSERT INTO hosts (id, region) VALUES ('h2', 'nrt');
      INSERT INTO machines (id, host_id, name) VALUES ('other', 'h2', 'theirs'), ('ghost', 'h1', 'of a lost log');
      INSERT INTO services (machine_id, protocol, internal_port, host_id) VALUES ('ghost', 'tcp', 80, 'h1');
      INSERT INTO checks (machine_id, name, host_id) VALUES ('other', 'alive', 'h2'), ('ghost', 'alive', 'h1')`)
  }

  async ownRows(table: RowTable, columns: readonly string[]) {
    if (this.fails) throw new Error('away')
    const sql = `SELECT ${columns.join(', ')} FROM ${table} WHERE ${hostColumn(table)} = 'h1'`
    return this.database.prepare(sql).all() as Record<string, Cell>[]
  }

  async write(statements: readonly { sql: string; values: readonly Cell[] }[]) {
    if (this.fails) throw new Error('away')
    this.database.exec('BEGIN')
    for (const { sql, values } of statements) this.database.prepare(sql).run(...values)
    this.database.exec('COMMIT')
    this.writes += statements.length
  }

  /** As in a Row: what is there of `hostId`. */
  rowsOf(hostId: string): Map<string, string> {
    const rows = new Map<string, string>()
    for (const table of Object.keys(ROW_KEYS) as RowTable[]) {
      const sql = `SELECT * FROM ${table} WHERE ${hostColumn(table)} = ?`
      for (const row of this.database.prepare(sql).all(hostId) as Record<string, Cell>[]) {
        const key = ROW_KEYS[table].map((name) => row[name] as Cell)
        rows.set(rowId({ table, key }), rowText(table, row))
      }
    }
    return rows
  }
}

const checkRow = (machineId: string, status: string): Row => ({
  table: 'checks',
  key: [machineId, 'alive'],
  cells: { host_id: 'h1', app_id: 'app1', status, is_service: 0, output: '', updated_at: 1 },
})

function publish(store: RowStore, view: TestView, statuses = new Map<string, string>()) {
  return new RowPublisher({
    hostId: 'h1',
    store,
    view,
    hostRows: () => hostRows(self),
    checkRows: (id) => {
      const status = statuses.get(id)
      return status === undefined ? [] : [checkRow(id, status)]
    },
    clock: { ...systemClock, sleep: (_ms, signal) => systemClock.sleep(0, signal) },
    random: seededRandom(1),
    log,
  })
}

const inStep = (publisher: RowPublisher) =>
  pollUntil('the replica to be in step', () => publisher.isInStep, { ...DEADLINE, intervalMs: 1 })

const service = (port: number) => ({
  protocol: 'tcp',
  internal_port: port,
  ports: [{ port: 443, handlers: ['tls', 'http'] }],
  concurrency: { type: 'requests', soft_limit: 20, hard_limit: 25 },
  autostop: 'suspend',
  autostart: true,
  min_machines_running: 1,
})

/** All that the replica must have of this host. */
function expectedRows(view: TestView, statuses: Map<string, string>): Map<string, string> {
  const rows = [
    ...hostRows(self),
    ...[...view.machines()].flatMap((one) => [
      ...machineRows(one, 'h1'),
      ...(statuses.has(one.id) ? [checkRow(one.id, statuses.get(one.id) ?? '')] : []),
    ]),
    ...[...view.volumes()].map((one) => volumeRow(one, 'h1')),
  ]
  return new Map(rows.map((row) => [rowId(row), rowText(row.table, row.cells)]))
}

test('whatever changes, and however often the replica is away, it ends with exactly this host’s rows', async () => {
  const ids = fc.constantFrom('m1', 'm2', 'm3')
  const steps = fc.array(
    fc.oneof(
      fc.record({
        kind: fc.constant('put' as const),
        id: ids,
        state: fc.constantFrom('created', 'started', 'stopped', 'destroyed'),
        ports: fc.uniqueArray(fc.constantFrom(80, 81, 82)),
      }),
      fc.record({ kind: fc.constantFrom('forget' as const, 'volume' as const), id: ids }),
      fc.record({
        kind: fc.constant('check' as const),
        id: ids,
        status: fc.constantFrom('passing', 'critical'),
      }),
      fc.record({ kind: fc.constantFrom('away' as const, 'back' as const, 'wait' as const) }),
    ),
    { maxLength: 40 },
  )
  await fc.assert(
    fc.asyncProperty(steps, async (list) => {
      const [replica, view, statuses] = [
        new TestReplica(),
        new TestView(),
        new Map<string, string>(),
      ]
      const theirs = replica.rowsOf('h2')
      await using publisher = publish(replica, view, statuses)
      for (const step of list) {
        if (step.kind === 'put') {
          const config = { services: step.ports.map(service) }
          view.put(machineSeen(step.id, { state: step.state as 'started', config }))
        } else if (step.kind === 'forget') {
          statuses.delete(step.id)
          view.forget(step.id)
        } else if (step.kind === 'volume') view.putVolume(volumeSeen(step.id))
        else if (step.kind === 'check' && view.machine(step.id) !== undefined) {
          statuses.set(step.id, step.status)
          publisher.checksChanged(step.id)
        } else if (step.kind === 'wait') await systemClock.sleep(1)
        else replica.fails = step.kind === 'away'
      }
      replica.fails = false
      publisher.hostChanged()
      await inStep(publisher)
      assert.deepEqual(replica.rowsOf('h1'), expectedRows(view, statuses))
      assert.deepEqual(replica.rowsOf('h2'), theirs)
    }),
    { numRuns: 60 },
  )
})

test('a machine on its way is written by the host that it leaves, until the new one has it for good', async () => {
  const replica = new TestReplica()
  const view = new TestView()
  const held = (side: 'in' | 'out', phase: 'moving' | 'held' | 'leaving') => ({
    migration: { side, phase, isToRun: true },
  })
  await using publisher = publish(replica, view)
  const settled = async (changes: Parameters<typeof machineSeen>[1]) => {
    view.put(machineSeen('m1', changes))
    publisher.hostChanged()
    await inStep(publisher)
    const sql = `SELECT host_id, state FROM machines WHERE id = 'm1'`
    return { ...replica.database.prepare(sql).get() }
  }
  assert.deepEqual(await settled({}), { host_id: 'h1', state: 'started' })
  const stopped = { state: 'stopped' as const, ...held('out', 'held') }
  assert.deepEqual(await settled(stopped), { host_id: 'h1', state: 'stopped' })
  replica.database.exec(`UPDATE machines SET host_id = 'h2', state = 'started' WHERE id = 'm1'`)
  const theirs = { host_id: 'h2', state: 'started' }
  assert.deepEqual(await settled({ state: 'stopping', ...held('out', 'leaving') }), theirs)
  assert.deepEqual(await settled({ state: 'migrated' }), theirs)
  assert.deepEqual(await settled({ state: 'starting', ...held('in', 'moving') }), theirs)
  view.forget('m1')
  publisher.hostChanged()
  await inStep(publisher)
  assert.equal(replica.rowsOf('h2').has(rowId({ table: 'machines', key: ['m1'] })), true)
})

test('what did not change is not written, at a restart neither', async () => {
  const [replica, view] = [new TestReplica(), new TestView()]
  for (let index = 0; index < 100; index += 1) view.put(machineSeen(`m${index}`))
  {
    await using publisher = publish(replica, view)
    await inStep(publisher)
  }
  const before = replica.writes
  await using publisher = publish(replica, view)
  await inStep(publisher)
  assert.equal(replica.writes, before)
  view.put(machineSeen('m7', { state: 'stopped' }))
  view.put(machineSeen('m8'))
  await inStep(publisher)
  assert.equal(replica.writes, before + 1)
  assert.equal(publisher.rowCount, 102)
})

test('columns of others in a row of this host stay', async () => {
  const [replica, view] = [new TestReplica(), new TestView()]
  replica.database.exec(`INSERT INTO hosts (id, mesh_public_key) VALUES ('h1', 'key')`)
  await using publisher = publish(replica, view)
  await inStep(publisher)
  const host = replica.database.prepare(`SELECT * FROM hosts WHERE id = 'h1'`).get()
  assert.equal(host?.['mesh_public_key'], 'key')
  assert.equal(host?.['backhaul_ip'], 'fd00::1')
})

test('all columns are those of the platform’s schema', () => {
  const database = new DatabaseSync(':memory:')
  database.exec(PLATFORM_SCHEMA)
  for (const table of Object.keys(ROW_COLUMNS) as RowTable[]) {
    const info = database.prepare(`PRAGMA table_info(${table})`).all() as {
      name: string
      pk: number
    }[]
    const keys = info.filter(({ pk }) => pk > 0).sort((a, b) => a.pk - b.pk)
    assert.deepEqual(
      keys.map(({ name }) => name),
      [...ROW_KEYS[table]],
    )
    for (const column of ROW_COLUMNS[table]) {
      assert.ok(
        info.some(({ name }) => name === column),
        `${table}.${column}`,
      )
    }
  }
})

const agentFiles = async (folder: string, port: number) =>
  loadAgentConfig(await writeTrialAgent(folder, port))

test('rows reach a real agent, and again after it was away', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-rows-'))
  const fatal = (error: unknown) => assert.fail(String(error))
  let agent = await Agent.start(await agentFiles(folder, 0), fatal)
  try {
    const port = agent.apiPort
    const view = new TestView()
    const client = new ApiClient({ url: `http://127.0.0.1:${port}` })
    const metadata = { fly_process_group: 'web' }
    view.put(machineSeen('m1', { config: { image: 'nginx', metadata, services: [service(8080)] } }))
    view.putVolume(volumeSeen('vol_1'))
    await using publisher = publish(corrosionRowStore(client, 'h1'), view)
    await inStep(publisher)
    const seen = (sql: string) =>
      agent.store.database
        .prepare(sql)
        .all()
        .map((row) => ({ ...row }))
    assert.deepEqual(seen(`SELECT host_id, process_group, metadata FROM machines`), [
      { host_id: 'h1', process_group: 'web', metadata: '{"fly_process_group":"web"}' },
    ])
    assert.deepEqual(seen(`SELECT hard_limit, autostop, autostart FROM services`), [
      { hard_limit: 25, autostop: 'suspend', autostart: 1 },
    ])
    await agent.stop()
    view.put(machineSeen('m1', { state: 'stopped' }))
    await pollUntil('it to notice', () => publisher.counters.failures > 0, DEADLINE)
    agent = await Agent.start(await agentFiles(folder, port), fatal)
    await inStep(publisher)
    assert.deepEqual(seen('SELECT state FROM machines'), [{ state: 'stopped' }])
    assert.deepEqual(seen('SELECT * FROM services'), [])
    const { statements } = publisher.counters
    publisher.hostChanged()
    await inStep(publisher)
    assert.equal(publisher.counters.statements, statements)
  } finally {
    await agent.stop()
    rmSync(folder, { recursive: true })
  }
})
