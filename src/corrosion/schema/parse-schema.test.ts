import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SchemaError } from './errors.ts'
import { parseSchema } from './parse-schema.ts'

/** Schemas refused, each with what the refusal must say. */
const refused: [string, string][] = [
  ['CREATE TABLE t (a TEXT)', 'Table t has no primary key or primary key is nullable'],
  ['CREATE TABLE t (id INTEGER PRIMARY KEY)', 'no primary key or primary key is nullable'],
  [
    'CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT)',
    't has auto-increment primary keys. This is likely a mistake',
  ],
  [
    'CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, c TEXT NOT NULL)',
    "not nullable column 'c' on table 't' needs a default value for forward schema compatibility",
  ],
  [
    'CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, c TEXT); CREATE UNIQUE INDEX u ON t (c)',
    'unique indexes are not supported: u',
  ],
  [
    'CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, c TEXT UNIQUE)',
    'Table t has unique indices besides',
  ],
  [
    'CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, c TEXT REFERENCES o (id))',
    "foreign keys are not supported (table: 't', column: 'c')",
  ],
  ['DROP INDEX i', 'unsupported command: DROP INDEX i'],
  ['CREATE TEMP TABLE t (id TEXT NOT NULL PRIMARY KEY)', 'unsupported command: CREATE TEMP TABLE'],
  ['CREATE TABLE t AS SELECT 1', 'unsupported command: CREATE TABLE t AS SELECT 1'],
  ['INSERT INTO t VALUES (1)', 'unsupported command: INSERT'],
]

for (const [sql, what] of refused) {
  test(`a schema is refused with its reason: ${sql}`, () => {
    assert.throws(
      () => parseSchema(sql),
      (error) => error instanceof SchemaError && error.message.includes(what),
    )
  })
}

test('IF NOT EXISTS, STRICT, WITHOUT ROWID, CHECK, generated columns and crsql_x are accepted', () => {
  const { tables } = parseSchema(`
    CREATE TABLE IF NOT EXISTS a (id TEXT NOT NULL PRIMARY KEY, n INTEGER CHECK (n > 0)) STRICT;
    CREATE TABLE b (id TEXT NOT NULL PRIMARY KEY, n INTEGER, m AS (n + 1)) WITHOUT ROWID;
    CREATE TABLE crsql_x (id TEXT NOT NULL PRIMARY KEY)`)
  assert.deepEqual([...tables.keys()], ['a', 'b', 'crsql_x'])
  assert.equal(tables.get('b')?.columns.find(({ name }) => name === 'm')?.isGenerated, true)
})
