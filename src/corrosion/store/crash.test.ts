import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { seededRandom } from '#base'
import { Store } from './store.ts'

const WRITER = join(import.meta.dirname, 'writer.fixture.ts')
const ROUNDS = 12

/** Lets a writer acknowledge some transactions, and kills it in the midst of the next. */
async function writeAndKill(path: string, from: number, acknowledgements: number) {
  const child = spawn(process.execPath, [WRITER, path, `${from}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let last = { n: from - 1, version: 0 }
  let left = acknowledgements
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('ready')) continue
    const [n = 0, version = 0] = line.split(' ').map(Number)
    last = { n, version }
    left -= 1
    if (left === 0) child.kill('SIGKILL') // what comes until it is dead was acknowledged, too
  }
  return last
}

const dump = (store: Store) => {
  store.settle()
  return [
    `SELECT * FROM kept ORDER BY n`,
    `SELECT * FROM pairs ORDER BY a, b`,
    `SELECT "table", pk, cid, val, col_version, db_version, cl, seq, ts FROM crsql_changes
     ORDER BY 1, 2, 3`,
  ].map((sql) => store.database.prepare(sql).all())
}

test('a writer that is killed at any moment loses nothing it acknowledged, and numbers on', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-crash-'))
  const path = join(folder, 'state.db')
  const random = seededRandom(5)
  try {
    let next = 1
    for (let round = 0; round < ROUNDS; round += 1) {
      const { n, version } = await writeAndKill(path, next, 1 + random.int(120))
      const store = new Store({ path, now: () => 1n })
      const max = store.database.prepare(`SELECT max(n) AS n, count(*) AS count FROM kept`).get()
      const written = max?.['n'] as number
      assert.ok(written >= n, 'every acknowledged row is there')
      assert.ok(written <= n + 1, 'at most one more, whose acknowledgement was not heard')
      assert.equal(max?.['count'], written, 'no row is missing in between')
      assert.ok(store.head >= version && store.head <= version + 1)
      assert.deepEqual(store.bookkeepingDifferences(), [])
      assertServesAll(store)
      store.close()
      next = written + 1
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

/** A second store that gets every version ends with equal rows and changes. */
function assertServesAll(store: Store): void {
  const other = new Store({ path: ':memory:', now: () => 1n })
  const schema = store.database
    .prepare(`SELECT sql FROM sqlite_schema WHERE type = 'table' AND name IN ('kept', 'pairs')`)
    .all()
  other.migrate(schema.map(({ sql }) => sql).join(';'))
  const need = { kind: 'full', versions: { start: 1, end: store.head } } as const
  other.apply([...store.serve(store.actor, need, () => 8_192)])
  assert.deepEqual(dump(other), dump(store))
  assert.equal(other.syncState().heads.get(store.actor), store.head)
  assert.equal(other.syncState().need.size, 0)
  other.close()
}

test('all or nothing: a schema change that dies halfway leaves the schema as it was', () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-crash-'))
  const path = join(folder, 'state.db')
  try {
    const store = new Store({ path, now: () => 1n })
    store.migrate(`CREATE TABLE a (id INTEGER NOT NULL PRIMARY KEY)`)
    const broken = `CREATE TABLE a (id INTEGER NOT NULL PRIMARY KEY, x TEXT);
      CREATE TABLE b (id INTEGER NOT NULL PRIMARY KEY); CREATE INDEX b_none ON b (nope(id))`
    assert.throws(() => store.migrate(broken))
    const tables = store.database.prepare(`SELECT name FROM crsql_tables`).all()
    assert.deepEqual(
      tables.map(({ name }) => name),
      ['a'],
    )
    store.transaction(() => store.statement(`INSERT INTO a VALUES (1)`).run())
    store.close()
    const again = new Store({ path, now: () => 1n })
    assert.equal(again.head, 1)
    again.close()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
