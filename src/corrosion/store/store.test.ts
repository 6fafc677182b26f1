import assert from 'node:assert/strict'
import { test } from 'node:test'
import { actorIdOf } from '../changes/actor-id.ts'
import type { Changeset } from '../changes/changeset.ts'
import { Store } from './store.ts'

const SCHEMA = `
CREATE TABLE tests (id INTEGER NOT NULL PRIMARY KEY, text TEXT NOT NULL DEFAULT '', n);
CREATE TABLE pairs (a TEXT NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (a, b));
`

function openStore(schema = SCHEMA): Store {
  let ts = 1n
  const store = new Store({ path: ':memory:', now: () => ts++ })
  store.migrate(schema)
  return store
}

const write = (store: Store, ...statements: string[]) =>
  store.transaction(() => {
    for (const sql of statements) store.statement(sql).run()
  }).version

/** Rows of crsql_changes: cid, val, col_version, db_version, cl, seq. */
function changes(store: Store): unknown[] {
  store.settle()
  const rows = store.database.prepare(
    `SELECT cid, val, col_version AS v, db_version AS dbv, cl, seq FROM crsql_changes`,
  )
  return rows.all().map(({ cid, val, v, dbv, cl, seq }) => [cid, val, v, dbv, cl, seq])
}

const rows = (store: Store, table = 'tests') =>
  store.database.prepare(`SELECT * FROM ${table} ORDER BY 1, 2`).all().map(Object.values)

function all(from: Store, version = from.head): Changeset[] {
  return [...from.ownChangesets(version, 1e9)]
}

function send(from: Store, to: Store): void {
  for (let version = 1; version <= from.head; version += 1) to.apply(all(from, version))
}

test('what a local statement records is what cr-sqlite records', () => {
  const store = openStore()
  assert.equal(write(store, `INSERT INTO tests VALUES (1, 'a', 5)`), 1)
  assert.deepEqual(changes(store), [
    ['text', 'a', 1, 1, 1, 0],
    ['n', 5, 1, 1, 1, 1],
  ])
  assert.equal(write(store, `UPDATE tests SET text = 'b' WHERE id = 1`), 2)
  assert.equal(write(store, `UPDATE tests SET text = 'b' WHERE id = 1`), null, 'nothing changed')
  assert.deepEqual(changes(store), [
    ['n', 5, 1, 1, 1, 1],
    ['text', 'b', 2, 2, 1, 0],
  ])
  assert.equal(write(store, `DELETE FROM tests`), 3)
  assert.deepEqual(changes(store), [['-1', null, 2, 3, 2, 0]])
  write(store, `INSERT INTO tests (id, text) VALUES (1, 'c')`)
  assert.deepEqual(changes(store), [
    ['-1', null, 3, 4, 3, 0],
    ['text', 'c', 1, 4, 3, 1],
    ['n', null, 1, 4, 3, 2],
  ])
  write(store, `INSERT OR REPLACE INTO tests VALUES (1, 'd', 1)`)
  assert.deepEqual(changes(store)[0], ['-1', null, 5, 5, 5, 1])
  write(store, `INSERT INTO tests VALUES (2, 'x', 1)`, `DELETE FROM tests WHERE id = 2`)
  assert.deepEqual(changes(store).at(-1), ['-1', null, 2, 6, 2, 2])
  write(store, `INSERT INTO pairs VALUES ('p', 1)`)
  assert.deepEqual(changes(store).at(-1), ['-1', null, 1, 7, 1, 0])
})

test('an upsert records only what it changed, a new key makes a new row', () => {
  const store = openStore()
  write(store, `INSERT INTO tests VALUES (1, 'a', 5)`)
  const upsert = `INSERT INTO tests VALUES (1, 'z', 5) ON CONFLICT DO UPDATE SET text = excluded.text`
  write(store, upsert)
  assert.deepEqual(changes(store).at(-1), ['text', 'z', 2, 2, 1, 0])
  write(store, `UPDATE tests SET id = 9 WHERE id = 1`)
  const other = openStore()
  send(store, other)
  assert.deepEqual(rows(other), [[9, 'z', 5]])
  assert.deepEqual(changes(other), changes(store))
})

test('values compare by bytes and storage class: collations and numeric equality hide no change', () => {
  const store = openStore(
    `CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, c TEXT COLLATE NOCASE, x)`,
  )
  write(store, `INSERT INTO t VALUES (1, 'a', 1)`)
  assert.equal(write(store, `UPDATE t SET c = 'A'`), 2)
  assert.equal(write(store, `UPDATE t SET x = 1.0`), 3)
  assert.equal(write(store, `UPDATE t SET x = 1.0`), null)
})

test('a second store that gets the versions has equal rows and equal changes', () => {
  const [a, b] = [openStore(), openStore()]
  write(a, `INSERT INTO tests VALUES (1, 'a', x'00ff'), (2, 'b', 9007199254740993), (3, 'c', 1.5)`)
  write(a, `UPDATE tests SET n = NULL WHERE id = 3`, `DELETE FROM tests WHERE id = 1`)
  write(a, `INSERT INTO pairs VALUES ('p', 1), ('', -1)`)
  send(a, b)
  const big = (store: Store) => {
    const statement = store.database.prepare(`SELECT *, typeof(n) FROM tests`)
    statement.setReadBigInts(true)
    return statement.all()
  }
  assert.deepEqual(big(b), big(a))
  assert.deepEqual(rows(b, 'pairs'), rows(a, 'pairs'))
  const bigChanges = (store: Store) => {
    const statement = store.database.prepare(`SELECT * FROM crsql_changes ORDER BY 1, 2, 3`)
    statement.setReadBigInts(true)
    return statement.all()
  }
  assert.deepEqual(bigChanges(b), bigChanges(a))
  assert.deepEqual(b.syncState().heads, new Map([[a.actor, 3]]))
})

test('crsql_changes can be merged into with plain SQL', () => {
  const [a, b] = [openStore(), openStore()]
  write(a, `INSERT INTO tests VALUES (1, 'a', 5)`)
  write(a, `UPDATE tests SET text = 'b'`)
  a.settle()
  const insert = b.database.prepare(
    `INSERT INTO crsql_changes ("table", pk, cid, val, col_version, db_version, site_id, cl, seq, ts)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  for (const change of a.database.prepare(`SELECT * FROM crsql_changes`).all()) {
    insert.run(...Object.values(change))
  }
  assert.deepEqual(rows(b), [[1, 'b', 5]])
  assert.deepEqual(changes(b), changes(a))
  assert.equal(b.head, 0, 'a merge is no version of its own')
  assert.throws(() => b.statement(`INSERT INTO crsql_changes (cid) VALUES (1)`), /not authorized/)
})

test('of concurrent values the one with the larger storage class, then the larger value wins', () => {
  const win = (one: string, two: string) => {
    const [a, b] = [openStore(), openStore()]
    for (const store of [a, b]) write(store, `INSERT INTO tests (id) VALUES (1)`)
    write(a, `UPDATE tests SET n = ${one}`)
    write(b, `UPDATE tests SET n = ${two}`)
    send(a, b)
    send(b, a)
    assert.deepEqual(rows(a), rows(b))
    assert.deepEqual(
      a.database.prepare(`SELECT * FROM crsql_changes ORDER BY cid`).all(),
      b.database.prepare(`SELECT * FROM crsql_changes ORDER BY cid`).all(),
      'clocks are equal as well',
    )
    return rows(a)[0]?.[2]
  }
  assert.equal(win('1', '2.5'), 1)
  assert.equal(win(`'a'`, `x'ff'`), 'a')
  assert.equal(win(`'a'`, `'b'`), 'b')
  assert.deepEqual(win('NULL', `x''`), new Uint8Array())
  assert.equal(win('7', '7'), 7)
})

test('more updates beat a later one; a deletion beats a concurrent update; a new life beats both', () => {
  const [a, b] = [openStore(), openStore()]
  write(a, `INSERT INTO tests VALUES (1, 'a', 0)`)
  send(a, b)
  for (let n = 1; n <= 5; n += 1) write(a, `UPDATE tests SET n = ${n}`)
  write(b, `UPDATE tests SET n = 99`)
  send(a, b)
  send(b, a)
  assert.deepEqual([rows(a), rows(b)], [[[1, 'a', 5]], [[1, 'a', 5]]])
  write(a, `DELETE FROM tests`)
  write(b, `UPDATE tests SET text = 'late'`)
  send(a, b)
  send(b, a)
  assert.deepEqual([rows(a), rows(b)], [[], []])
  write(a, `INSERT INTO tests VALUES (1, 'again', 1)`)
  for (let n = 0; n < 9; n += 1) write(b, `INSERT OR IGNORE INTO tests VALUES (2, '', ${n})`)
  send(a, b)
  send(b, a)
  assert.deepEqual(rows(b), rows(a))
  assert.deepEqual(rows(a)[0], [1, 'again', 1])
})

test('versions may come in any order and twice; gaps are known, kept over a restart of the bookkeeping', () => {
  const [a, b] = [openStore(), openStore()]
  for (let id = 1; id <= 5; id += 1) write(a, `INSERT INTO tests VALUES (${id}, 'x', ${id})`)
  for (const version of [1, 2, 5, 5]) b.apply(all(a, version))
  assert.deepEqual(b.syncState().need.get(a.actor), [{ start: 3, end: 4 }])
  const gaps = b.database.prepare(`SELECT start, "end" FROM __corro_bookkeeping_gaps`).all()
  assert.deepEqual(gaps.map(Object.values), [[3, 4]])
  for (const version of [4, 3]) b.apply(all(a, version))
  assert.equal(b.syncState().need.size, 0)
  assert.equal(
    b.database.prepare(`SELECT count(*) AS n FROM __corro_bookkeeping_gaps`).get()?.['n'],
    0,
  )
  assert.deepEqual(rows(b), rows(a))
})

test('a version that was overwritten is served as empty, and a third node ends with no gap', () => {
  const [a, b, c] = [openStore(), openStore(), openStore()]
  write(a, `INSERT INTO tests VALUES (1, 'x', 1)`)
  write(a, `UPDATE tests SET n = 2`)
  write(a, `UPDATE tests SET n = 3`)
  send(a, b)
  const served = [
    ...b.serve(a.actor, { kind: 'full', versions: { start: 1, end: 9 } }, () => 8_192),
  ]
  assert.deepEqual(
    served.map((one) => [one.kind, one.kind === 'full' ? one.version : one.versions]),
    [
      ['full', 3],
      ['empty', { start: 2, end: 2 }],
      ['full', 1],
    ],
  )
  c.apply(served)
  assert.deepEqual(rows(c), rows(a))
  assert.equal(c.syncState().need.size, 0)
  assert.ok(c.knows({ kind: 'empty', actor: a.actor, versions: { start: 1, end: 3 }, ts: null }))
})

test('a version in parts is applied once it is whole, whatever order, repetition and overlap', () => {
  const [a, b, c] = [openStore(), openStore(), openStore()]
  const values = Array.from({ length: 300 }, (_, at) => `(${at}, 'text ${at}', ${at})`)
  write(a, `INSERT INTO tests VALUES ${values.join()}`)
  const parts = [...a.ownChangesets(1, 2_000)]
  assert.ok(parts.length > 5)
  let next = 0
  for (const part of parts) {
    if (part.kind !== 'full') continue
    assert.equal(part.seqs.start, next, 'parts tile the version')
    next = part.seqs.end + 1
  }
  const middle = parts.slice(2, 4)
  b.apply([...parts.slice(0, 2), ...parts.slice(4)])
  assert.deepEqual(rows(b), [], 'nothing is visible before the version is whole')
  const [needs] = b.syncState().partialNeed.get(a.actor)?.get(1) ?? []
  assert.ok(needs !== undefined)
  const forwarded = [
    ...b.serve(a.actor, { kind: 'full', versions: { start: 1, end: 1 } }, () => 1e6),
  ]
  assert.equal(forwarded.length, parts.length - 2, 'parts are served before the version is whole')
  c.apply(forwarded)
  const partial = { kind: 'partial', version: 1, seqs: [needs] } as const
  const overlapping = [...a.serve(a.actor, partial, () => 500)]
  const outcomes = b.apply([...middle.slice(1), ...overlapping, ...middle])
  assert.ok(outcomes.some(({ kind }) => kind === 'applied'))
  c.apply(overlapping)
  assert.deepEqual(rows(b), rows(a))
  assert.deepEqual(rows(c), rows(a))
  assert.equal(
    b.database.prepare(`SELECT count(*) AS n FROM __corro_buffered_changes`).get()?.['n'],
    0,
  )
  assert.equal(b.syncState().partialNeed.size, 0)
})

test('a column or table that is not here yet waits, is passed on, and goes in with the schema', () => {
  const [a, b, c] = [openStore(), openStore(), openStore()]
  const wider = SCHEMA.replace('n)', `n, extra TEXT NOT NULL DEFAULT 'none')`)
  const later = `${wider} CREATE TABLE fresh (id INTEGER NOT NULL PRIMARY KEY, v);`
  a.migrate(later)
  write(a, `INSERT INTO tests (id, text, extra) VALUES (1, 'x', 'new'), (2, 'y', 'gone soon')`)
  write(a, `INSERT INTO fresh VALUES (1, x'01')`, `INSERT INTO pairs VALUES ('two', 2)`)
  send(a, b)
  assert.deepEqual(rows(b), [
    [1, 'x', null],
    [2, 'y', null],
  ])
  assert.deepEqual(rows(b, 'pairs'), [['two', 2]])
  assert.equal(b.syncState().need.size, 0)
  c.migrate(later)
  c.apply([...b.serve(a.actor, { kind: 'full', versions: { start: 1, end: 2 } }, () => 100)])
  assert.deepEqual(rows(c), rows(a), 'one that has the schema gets it through one that has not')
  assert.deepEqual(rows(c, 'fresh'), rows(a, 'fresh'))
  write(b, `DELETE FROM tests WHERE id = 2`)
  b.migrate(wider)
  assert.deepEqual(rows(b), [[1, 'x', null, 'new']])
  b.migrate(later)
  assert.deepEqual(rows(b, 'fresh'), rows(a, 'fresh'))
  send(b, a)
  assert.deepEqual(rows(a), rows(b))
  assert.deepEqual(changes(a), changes(b))
})

test('a change that violates a constraint is refused alone, stays a gap, and may be asked for again', () => {
  const checked = SCHEMA.replace('n)', 'n CHECK (n < 10))')
  const [a, b] = [openStore(), openStore(checked)]
  write(a, `INSERT INTO pairs VALUES ('one', 1)`)
  write(a, `INSERT INTO tests VALUES (1, 'too much', 99)`)
  write(a, `INSERT INTO pairs VALUES ('two', 2)`)
  const outcomes = b.apply([1, 2, 3].flatMap((version) => all(a, version)))
  assert.deepEqual(
    outcomes.map(({ kind }) => kind),
    ['applied', 'refused', 'applied'],
  )
  assert.deepEqual(b.syncState().need.get(a.actor), [{ start: 2, end: 2 }])
  write(a, `UPDATE tests SET n = 9`)
  assert.deepEqual(b.apply([2, 4].flatMap((version) => all(a, version))), [
    { kind: 'applied' },
    { kind: 'applied' },
  ])
  assert.deepEqual(rows(b), rows(a))
})

test('adding columns with defaults sends no row again', () => {
  const store = openStore()
  const values = Array.from({ length: 100 }, (_, at) => `(${at}, 'x', ${at})`)
  write(store, `INSERT INTO tests VALUES ${values.join()}`)
  const before = changes(store)
  const steps = store.migrate(
    SCHEMA.replace('n)', `n, p INTEGER NOT NULL DEFAULT 7, q TEXT, r AS (p + 1))`),
  )
  assert.deepEqual(
    steps.map(({ kind }) => kind),
    ['addColumns'],
  )
  assert.equal(store.head, 1)
  assert.deepEqual(changes(store), before)
  assert.equal(write(store, `UPDATE tests SET p = 8 WHERE id = 5`), 2)
  assert.deepEqual(changes(store).at(-1), ['p', 8, 1, 2, 1, 0])
})

test('a table that was there before is adopted with its rows', () => {
  const store = openStore()
  store.database.exec(`CREATE TABLE old (id INTEGER NOT NULL PRIMARY KEY, v TEXT);
    INSERT INTO old VALUES (1, 'kept')`)
  store.migrate(`CREATE TABLE old (id INTEGER NOT NULL PRIMARY KEY, v TEXT)`)
  assert.equal(store.head, 1)
  assert.deepEqual(changes(store), [['v', 'kept', 1, 1, 1, 0]])
})

test('a failing transaction writes nothing and uses no version', () => {
  const store = openStore()
  write(store, `INSERT INTO tests VALUES (1, 'a', 1)`)
  assert.throws(() =>
    write(store, `UPDATE tests SET n = 2`, `INSERT INTO tests VALUES (1, 'again', 1)`),
  )
  assert.deepEqual(rows(store), [[1, 'a', 1]])
  assert.equal(write(store, `UPDATE tests SET n = 3`), 2)
})

test('statements of users can neither end transactions nor change schema, settings or our tables', () => {
  const store = openStore()
  for (const sql of [
    'BEGIN',
    'COMMIT',
    'ROLLBACK',
    'SAVEPOINT s',
    `ATTACH ':memory:' AS other`,
    'PRAGMA journal_mode = DELETE',
    'CREATE TABLE x (id)',
    'DROP TABLE tests',
    'ALTER TABLE tests ADD COLUMN z',
    'DELETE FROM crsql_log',
    'DELETE FROM tests__crsql_clock',
    'UPDATE __corro_state SET value = 1',
    'VACUUM',
  ]) {
    assert.throws(() => write(store, sql), /not authorized|cannot/, sql)
  }
  assert.equal(write(store, `INSERT INTO tests VALUES (1, 'still', 1)`), 1)
})

test('the site id is 16 bytes, random, and the changes carry it', () => {
  const store = openStore()
  write(store, `INSERT INTO tests VALUES (1, 'a', 1)`)
  store.settle()
  const site = store.database.prepare(`SELECT DISTINCT site_id FROM crsql_changes`).get()
  assert.equal(actorIdOf(site?.['site_id'] as Uint8Array), store.actor)
})

test('own versions are told by the next settle, whatever settled them before', () => {
  const [a, b] = [openStore(), openStore()]
  write(b, `INSERT INTO tests VALUES (9, 'theirs', 0)`)
  const reasons: (() => unknown)[] = [
    () => a.apply(all(b)),
    () => all(a),
    () => [...a.serve(a.actor, { kind: 'full', versions: { start: 1, end: 9 } }, () => 1e9)],
    () => a.compact(100),
    () => a.migrate(`${SCHEMA} CREATE TABLE more (id INTEGER NOT NULL PRIMARY KEY);`),
  ]
  for (const [at, settles] of reasons.entries()) {
    const version = write(a, `INSERT INTO tests VALUES (${at}, 'ours', 0)`)
    settles()
    const told = a.settle().versions.map((one) => one.version)
    assert.deepEqual(told, [version])
  }
  assert.deepEqual(a.settle().versions, [], 'once')
})

test('parts of a version that come together, whole and in order, are merged without being buffered', () => {
  const [a, b] = [openStore(), openStore()]
  const inserts = Array.from(
    { length: 20 },
    (_, id) => `INSERT INTO tests VALUES (${id}, 'x', ${id})`,
  )
  write(a, ...inserts)
  write(a, `UPDATE tests SET text = 'y' WHERE id < 3`)
  const parts = [...a.ownChangesets(1, 100)]
  assert(parts.length > 3)
  const [first, ...others] = parts as [Changeset, ...Changeset[]]
  const short = parts.slice(0, -1)
  assert.deepEqual(
    kinds(b.apply(short)),
    short.map(() => 'buffered'),
    'the last is missing',
  )
  assert.deepEqual(kinds(b.apply([...others, first])).at(-1), 'known', 'out of order')
  const c = openStore()
  assert.deepEqual(kinds(c.apply([...all(a, 2), ...parts])), [
    'applied',
    ...parts.map(() => 'applied'),
  ])
  assert.equal(c.syncState().partialNeed.size, 0)
  b.apply(all(a, 2))
  assert.deepEqual(rows(c), rows(a))
  assert.deepEqual(rows(b), rows(a))
  assert.deepEqual(changes(c), changes(a))
})

const kinds = (outcomes: ReturnType<Store['apply']>) => outcomes.map(({ kind }) => kind)

test('a node that has lost its disk gets its own versions back, and numbers on behind them', () => {
  const newActorId = () => actorIdOf(new Uint8Array(16).fill(7))
  const open = () => {
    const store = new Store({ path: ':memory:', now: () => 1n, newActorId })
    store.migrate(SCHEMA)
    return store
  }
  const [before, peer, after] = [open(), openStore(), open()]
  for (let id = 1; id <= 5; id += 1) write(before, `INSERT INTO tests VALUES (${id}, 'x', ${id})`)
  write(before, `UPDATE tests SET n = 0 WHERE id < 3`)
  send(before, peer)
  const need = { kind: 'full', versions: { start: 1, end: 6 } } as const
  after.apply([...peer.serve(before.actor, need, () => 8_192)])
  assert.deepEqual(rows(after), rows(before))
  assert.equal(write(after, `INSERT INTO tests VALUES (6, 'after', 6)`), 7)
  peer.apply(all(after))
  assert.deepEqual(rows(peer), rows(after))
  assert.deepEqual(changes(peer), changes(after))
})
