import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '#base'
import { fc } from '#property'
import type { SqlValue } from '../changes/sql-value.ts'
import { Store } from '../store/store.ts'
import { rowwiseShape } from './query-shape.ts'
import { Subscriptions } from './subscriptions.ts'

const SCHEMA = `
CREATE TABLE machines (id TEXT NOT NULL PRIMARY KEY, app TEXT NOT NULL DEFAULT '', cpus INTEGER NOT NULL DEFAULT 1);
CREATE TABLE services (machine_id TEXT NOT NULL, port INTEGER NOT NULL, proto TEXT, PRIMARY KEY (machine_id, port));
`

class Node {
  readonly store: Store
  readonly subscriptions: Subscriptions

  constructor() {
    let ts = 1n
    this.store = new Store({ path: ':memory:', now: () => ts++ })
    this.store.migrate(SCHEMA)
    this.subscriptions = new Subscriptions(this.store, systemClock)
  }

  write(...statements: string[]): void {
    this.store.transaction(() => {
      for (const sql of statements) this.store.statement(sql).run()
    })
    this.subscriptions.committed(this.store.settle().touched)
  }
}

/** Follows the changes only, as a client does. */
function follow(node: Node, sql: string, parameters: SqlValue[] = []) {
  const query = node.subscriptions.open(sql, parameters)
  const rows = new Map([...query.rows].map(({ rowId, cells }) => [rowId, cells]))
  const log: unknown[] = []
  query.join({
    changed(changes) {
      for (const { kind, rowId, cells, changeId } of changes) {
        log.push([kind, rowId, cells.map(plain), changeId])
        if (kind === 'delete') assert.ok(rows.delete(rowId), 'only what is there is deleted')
        else {
          assert.equal(rows.has(rowId), kind === 'update')
          rows.set(rowId, cells)
        }
      }
    },
  })
  return { query, rows, log }
}

const plain = (cell: SqlValue) => (typeof cell === 'bigint' ? Number(cell) : cell)
const shown = (rows: Iterable<readonly SqlValue[]>) =>
  [...rows].map((cells) => JSON.stringify(cells.map(plain))).sort()

test('changes come with row ids that are not used again and change ids without holes', () => {
  const node = new Node()
  node.write(`INSERT INTO services VALUES ('m1', 80, 'http'), ('m1', 443, NULL)`)
  const { query, log } = follow(node, 'SELECT machine_id, port, proto FROM services')
  assert.deepEqual(query.columns, ['machine_id', 'port', 'proto'])
  node.write(`INSERT INTO services VALUES ('m2', 22, 'tcp')`)
  node.write(`UPDATE services SET proto = 'https' WHERE port = 443`)
  node.write(`DELETE FROM services WHERE machine_id = 'm2'`)
  node.write(`INSERT INTO services VALUES ('m2', 22, 'tcp')`)
  node.write(`UPDATE services SET port = 23 WHERE port = 22`)
  node.write(`UPDATE services SET proto = 'tcp' WHERE port = 23`)
  assert.deepEqual(log, [
    ['insert', 3, ['m2', 22, 'tcp'], 1],
    ['update', 2, ['m1', 443, 'https'], 2],
    ['delete', 3, ['m2', 22, 'tcp'], 3],
    ['insert', 4, ['m2', 22, 'tcp'], 4],
    ['insert', 5, ['m2', 23, 'tcp'], 5],
    ['delete', 4, ['m2', 22, 'tcp'], 6],
  ])
  assert.equal(query.since(4).length, 2)
})

test('a query that reads only keys sees inserts', () => {
  const node = new Node()
  const { rows } = follow(node, 'SELECT id FROM machines')
  node.write(`INSERT INTO machines (id) VALUES ('m1')`)
  assert.equal(rows.size, 1)
})

test('equal statements share one live query, whatever way the parameters are given', () => {
  const { subscriptions } = new Node()
  const one = subscriptions.open('SELECT port FROM services WHERE machine_id = ?', ['m1'])
  const named = new Map<string, SqlValue>([[':m', 'm1']])
  assert.equal(subscriptions.open('SELECT port FROM services WHERE machine_id = :m', named), one)
  assert.equal(subscriptions.open(`SELECT port FROM services WHERE machine_id = 'm1'`), one)
  assert.equal(subscriptions.byId(one.id), one)
})

test('what cannot be subscribed to is refused with the reason', () => {
  const { subscriptions } = new Node()
  for (const [sql, reason] of [
    ['SELECT 1', 'at least 1 table is required in FROM / JOIN clause'],
    ['VALUES (1)', 'at least 1 table is required in FROM / JOIN clause'],
    ['DELETE FROM services', 'unsupported statement'],
    ['PRAGMA table_info(services)', 'unsupported statement'],
    ['WITH x AS (SELECT 1) DELETE FROM services', 'unsupported statement'],
    ['SELECT key FROM __corro_state', 'table not found in schema: __corro_state'],
    ['SELECT cid FROM crsql_changes', 'table not found in schema: crsql_changes'],
    ['SELECT port FROM services; SELECT 1', 'Multiple statements provided'],
    ['SELECT * FROM nope', 'no such table: nope'],
  ] as const) {
    assert.throws(() => subscriptions.open(sql), { what: reason }, sql)
  }
})

const QUERIES = [
  'SELECT * FROM services',
  'SELECT s.port AS p FROM services AS s WHERE s.port > 2',
  'SELECT id, cpus + 1 FROM machines WHERE cpus > 1 ORDER BY cpus DESC',
  'SELECT m.id, m.app, s.port FROM machines m JOIN services s ON s.machine_id = m.id WHERE m.cpus < 4',
  'SELECT m.id, s.port FROM machines m, services s WHERE s.machine_id = m.id AND s.port > 1',
  'SELECT a.id, b.id FROM machines a JOIN machines b ON a.cpus = b.cpus AND a.id < b.id',
  'SELECT id FROM machines JOIN services ON machine_id = id',
  'SELECT m.id, s.port FROM machines m LEFT JOIN services s ON s.machine_id = m.id',
  'SELECT count(*) FROM machines',
  'SELECT app, sum(cpus) FROM machines GROUP BY app HAVING sum(cpus) > 2',
  'SELECT DISTINCT app FROM machines',
  'SELECT id FROM machines ORDER BY cpus, id LIMIT 2',
  'SELECT id FROM machines WHERE id IN (SELECT machine_id FROM services WHERE port = 2)',
  'SELECT id, (SELECT count(*) FROM services s WHERE s.machine_id = machines.id) FROM machines',
  'SELECT id FROM machines UNION ALL SELECT machine_id FROM services',
  'SELECT id, row_number() OVER (ORDER BY cpus, id) FROM machines',
  'WITH big AS (SELECT * FROM machines WHERE cpus > 1) SELECT app, id FROM big',
  'SELECT 1 FROM machines',
]

const anyWrite = fc.oneof(
  fc
    .tuple(fc.nat(3), fc.nat(1), fc.nat(4))
    .map(
      ([id, app, cpus]) => `INSERT OR REPLACE INTO machines VALUES ('m${id}', 'a${app}', ${cpus})`,
    ),
  fc.tuple(fc.nat(4), fc.nat(3)).map(([cpus, id]) => {
    return `UPDATE machines SET cpus = ${cpus} WHERE id = 'm${id}'`
  }),
  fc.nat(3).map((id) => `DELETE FROM machines WHERE id = 'm${id}'`),
  fc
    .tuple(fc.nat(3), fc.nat(3))
    .map(([id, port]) => `INSERT OR IGNORE INTO services VALUES ('m${id}', ${port}, 'x')`),
  fc.tuple(fc.nat(3), fc.nat(3)).map(([to, port]) => {
    return `UPDATE OR REPLACE services SET port = ${to} WHERE port = ${port}`
  }),
  fc.nat(3).map((port) => `DELETE FROM services WHERE port = ${port}`),
)

test('after any writes each live query holds what the same SQL gives when it is run', async () => {
  const node = new Node()
  const followed = QUERIES.map((sql) => ({ sql, ...follow(node, sql) }))
  const batches = fc.sample(fc.array(anyWrite, { minLength: 1, maxLength: 4 }), 400)
  for (const batch of batches) {
    node.write(...batch)
    for (const { sql, query, rows } of followed) {
      query.runDue(Infinity)
      const statement = node.store.database.prepare(sql)
      statement.setReturnArrays(true)
      const truth = statement.all() as unknown as SqlValue[][]
      assert.deepEqual(shown(rows.values()), shown(truth), sql)
      assert.deepEqual(shown(query.cells), shown(truth), sql)
    }
  }
  node.subscriptions[Symbol.dispose]()
})

test('simple and joined queries are kept row by row, others are run again', () => {
  const { tables } = new Node().store
  const rowwise = QUERIES.filter((sql) => rowwiseShape(sql, tables) !== undefined)
  assert.deepEqual(rowwise, [...QUERIES.slice(0, 7), 'SELECT 1 FROM machines'])
})

test('changes that are no longer kept are refused with the oldest that are', () => {
  const node = new Node()
  const { query } = follow(node, 'SELECT id, cpus FROM machines')
  node.write(`INSERT INTO machines VALUES ('m', 'a', 0)`)
  for (let n = 1; n <= 20_001; n += 1) node.write(`UPDATE machines SET cpus = ${n}`)
  assert.equal(query.since(20_000).length, 2)
  assert.throws(() => query.since(1), { code: 'corrosion.subscription_purged' })
})

test('a listener to a table hears of each written row once a commit, deletes told apart', () => {
  const node = new Node()
  const heard: unknown[] = []
  const listening = node.subscriptions.listen('services', (updates) => {
    for (const { kind, key } of updates) heard.push([kind, ...key.map(plain)])
  })
  node.write(`INSERT INTO services VALUES ('a', 1, 'x')`, `UPDATE services SET proto = 'y'`)
  node.write(`UPDATE services SET port = 3`)
  node.write(`UPDATE services SET port = 3`)
  listening[Symbol.dispose]()
  node.write(`DELETE FROM services`)
  assert.deepEqual(heard, [
    ['update', 'a', 1],
    ['delete', 'a', 1],
    ['update', 'a', 3],
  ])
  assert.throws(
    () => node.subscriptions.listen('nope', () => assert.fail()),
    /table not found in schema: nope/,
  )
})
