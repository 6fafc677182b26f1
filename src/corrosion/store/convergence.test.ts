import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fc } from '#property'
import { parseActorId } from '../changes/actor-id.ts'
import { type Changeset, type ColumnChange, SENTINEL } from '../changes/changeset.ts'
import { packKey } from '../changes/packed-key.ts'
import type { SqlValue } from '../changes/sql-value.ts'
import { Store } from './store.ts'

const SCHEMA = `CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a DEFAULT 'none', b INTEGER);
CREATE TABLE keys (k TEXT NOT NULL PRIMARY KEY);`

function openStore(): Store {
  let ts = 1n
  const store = new Store({ path: ':memory:', now: () => ts++ })
  store.migrate(SCHEMA)
  return store
}

const allChanges = (store: Store) => {
  store.settle()
  return store.database
    .prepare(`SELECT * FROM crsql_changes ORDER BY "table", pk, cid`)
    .all()
    .map(({ ts: _, ...change }) => Object.values(change))
}

const allRows = (store: Store) => [
  store.database.prepare(`SELECT id, a, typeof(a), b FROM t ORDER BY id`).all().map(Object.values),
  store.database.prepare(`SELECT k FROM keys ORDER BY k`).all().map(Object.values),
]

// --- any set of changes, merged in any order, against a model that folds maxima

const ACTORS = ['1', '8', 'f'].map((digit) => parseActorId(digit.repeat(32)))
const anyValue = fc.constantFrom<SqlValue>(null, 0n, 1n, 1.5, 'a', 'b', Uint8Array.of(255))

interface LooseChange {
  readonly actor: number
  readonly id: number
  readonly cid: string
  readonly val: SqlValue
  readonly colVersion: number
  readonly cl: number
}

const anyChange: fc.Arbitrary<LooseChange> = fc
  .record({
    actor: fc.nat(2),
    id: fc.nat(2),
    cid: fc.constantFrom('a', 'b', SENTINEL),
    val: anyValue,
    colVersion: fc.integer({ min: 1, max: 3 }),
    cl: fc.integer({ min: 1, max: 4 }),
  })
  // A deletion is a sentinel, and a sentinel's col_version is its causal length. Column b holds integers.
  .map((change) => {
    const cid = change.cl % 2 === 0 ? SENTINEL : change.cid
    const val = cid === 'a' ? change.val : cid === 'b' ? BigInt(change.colVersion) : null
    return { ...change, cid, val, colVersion: cid === SENTINEL ? change.cl : change.colVersion }
  })

/** Every change is a version of its own. */
function asChangesets(changes: readonly LooseChange[]): Changeset[] {
  const heads = [0, 0, 0]
  return changes.map(({ actor, id, ...change }) => {
    const version = (heads[actor] ?? 0) + 1
    heads[actor] = version
    const columns: ColumnChange[] = [{ ...change, seq: 0 }]
    return {
      kind: 'full',
      actor: ACTORS[actor] as (typeof ACTORS)[number],
      version,
      tables: [{ table: 't', rows: [{ pk: packKey([BigInt(id)]), columns }] }],
      seqs: { start: 0, end: 0 },
      lastSeq: 0,
      ts: 0n,
    }
  })
}

const classes = ['object', 'Uint8Array', 'string', 'number', 'bigint']
const classOf = (value: SqlValue) =>
  classes.indexOf(value instanceof Uint8Array ? 'Uint8Array' : typeof value)

/** Larger is the winner: version of the column, storage class, value, actor, version of the actor. */
function compareChanges(x: [LooseChange, number], y: [LooseChange, number]): number {
  const [a, b] = [x[0], y[0]]
  if (a.colVersion !== b.colVersion) return a.colVersion - b.colVersion
  if (classOf(a.val) !== classOf(b.val)) return classOf(a.val) - classOf(b.val)
  const [p, q] = [String(a.val), String(b.val)]
  if (p !== q) return p < q ? -1 : 1
  return a.actor - b.actor || x[1] - y[1]
}

/** Rows by id: the longest life, and in it the largest change of each column. */
function model(changes: readonly LooseChange[]): unknown[][] {
  const versions = [0, 0, 0]
  const numbered = changes.map((change): [LooseChange, number] => {
    versions[change.actor] = (versions[change.actor] ?? 0) + 1
    return [change, versions[change.actor] as number]
  })
  const rows: unknown[][] = []
  for (const id of [0, 1, 2]) {
    const own = numbered.filter(([change]) => change.id === id)
    const cl = Math.max(0, ...own.map(([change]) => change.cl))
    if (cl % 2 === 0) continue
    const winner = (cid: string) =>
      own
        .filter(([change]) => change.cl === cl && change.cid === cid)
        .sort(compareChanges)
        .at(-1)?.[0].val
    const a = winner('a')
    const b = winner('b')
    const shownA = a === undefined ? 'none' : typeof a === 'bigint' ? Number(a) : a
    rows.push([id, shownA, b === undefined ? null : Number(b)])
  }
  return rows
}

test('changes merge to what the model says, in any order, in any batches, any number of times', () => {
  const history = fc.array(anyChange, { maxLength: 14 }).chain((changes) => {
    const all = asChangesets(changes)
    return fc.record({
      changes: fc.constant(changes),
      one: fc.shuffledSubarray(all, { minLength: all.length }),
      two: fc.shuffledSubarray(all, { minLength: all.length }),
      again: fc.subarray(all),
      cut: fc.nat(changes.length),
    })
  })
  fc.assert(
    fc.property(history, ({ changes, one, two, again, cut }) => {
      const [x, y] = [openStore(), openStore()]
      x.apply(one)
      for (const changeset of two.slice(0, cut)) y.apply([changeset])
      y.apply(again)
      y.apply(two.slice(cut))
      const rowsOf = (store: Store) =>
        store.database.prepare(`SELECT * FROM t ORDER BY id`).all().map(Object.values)
      assert.deepEqual(rowsOf(x), model(changes))
      assert.deepEqual(rowsOf(y), model(changes))
      assert.deepEqual(allChanges(x), allChanges(y))
      x.close()
      y.close()
    }),
    { numRuns: 300 },
  )
})

// --- whole histories of nodes that write, crash and talk

const anyWrite = fc.oneof(
  fc
    .tuple(fc.nat(3), anyValue)
    .map(([id, a]) => ({ sql: `INSERT OR IGNORE INTO t (id, a) VALUES (?, ?)`, args: [id, a] })),
  fc
    .tuple(anyValue, fc.nat(3))
    .map(([a, id]) => ({ sql: `UPDATE t SET a = ? WHERE id = ?`, args: [a, id] })),
  fc
    .tuple(fc.nat(9), fc.nat(3))
    .map(([b, id]) => ({ sql: `UPDATE t SET b = ? WHERE id = ?`, args: [b, id] })),
  fc.nat(3).map((id) => ({ sql: `DELETE FROM t WHERE id = ?`, args: [id] })),
  fc
    .tuple(fc.nat(3), fc.nat(9))
    .map(([id, b]) => ({ sql: `INSERT OR REPLACE INTO t (id, b) VALUES (?, ?)`, args: [id, b] })),
  fc
    .tuple(fc.nat(3), fc.nat(3))
    .map(([to, id]) => ({ sql: `UPDATE OR REPLACE t SET id = ? WHERE id = ?`, args: [to, id] })),
  fc.nat(2).map((k) => ({ sql: `INSERT OR IGNORE INTO keys VALUES (?)`, args: [`k${k}`] })),
  fc.nat(2).map((k) => ({ sql: `DELETE FROM keys WHERE k = ?`, args: [`k${k}`] })),
)

const anyStep = fc.oneof(
  fc.record({
    kind: fc.constant('write' as const),
    node: fc.nat(2),
    writes: fc.array(anyWrite, { minLength: 1, maxLength: 4 }),
  }),
  fc.record({
    kind: fc.constant('tell' as const),
    node: fc.nat(2),
    to: fc.nat(2),
    part: fc.double({ noNaN: true, min: 0, max: 1 }),
    chunkBytes: fc.constantFrom(1, 60, 8_192),
  }),
)

/** What `from` has that a peer asks for: everything, of which only a part arrives. */
function tell(from: Store, to: Store, part: number, chunkBytes: number): void {
  const served: Changeset[] = []
  for (const [actor, head] of from.syncState().heads) {
    const need = { kind: 'full', versions: { start: 1, end: head } } as const
    served.push(...from.serve(actor, need, () => chunkBytes))
  }
  const outcomes = to.apply(served.slice(0, Math.ceil(served.length * part)))
  assert.ok(outcomes.every(({ kind }) => kind !== 'refused'))
}

test('nodes that wrote anything converge once all have told all', () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 20 }), (steps) => {
      const nodes = [openStore(), openStore(), openStore()]
      const at = (index: number) => nodes[index] as Store
      for (const step of steps) {
        if (step.kind === 'tell') tell(at(step.node), at(step.to), step.part, step.chunkBytes)
        else {
          at(step.node).transaction(() => {
            for (const { sql, args } of step.writes) {
              const values = args.map((arg) =>
                Number.isInteger(arg) ? BigInt(arg as number) : arg,
              )
              at(step.node)
                .statement(sql)
                .run(...(values as SqlValue[]))
            }
          })
        }
      }
      for (let round = 0; round < 2; round += 1) {
        for (const from of nodes) for (const to of nodes) if (from !== to) tell(from, to, 1, 200)
      }
      for (const node of nodes) {
        assert.deepEqual(allRows(node), allRows(at(0)))
        assert.deepEqual(allChanges(node), allChanges(at(0)))
        assert.equal(node.syncState().need.size, 0)
        assert.equal(node.syncState().partialNeed.size, 0)
      }
      for (const node of nodes) node.close()
    }),
    { numRuns: 300 },
  )
})
