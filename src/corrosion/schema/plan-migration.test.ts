import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SchemaError } from './errors.ts'
import { parseSchema } from './parse-schema.ts'
import { planMigration } from './plan-migration.ts'

const BEFORE = 'CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, c TEXT); CREATE INDEX i ON t (c)'

const stepsTo = (sql: string) =>
  planMigration(parseSchema(BEFORE), parseSchema(sql), () => true).map(({ kind }) => kind)

test('a table that is not mentioned is kept, a new one is created', () => {
  assert.deepEqual(stepsTo('CREATE TABLE n (id TEXT NOT NULL PRIMARY KEY)'), ['createTable'])
})

test('a new column is added, and an index no longer declared is dropped', () => {
  const sql = 'CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, c TEXT, d TEXT)'
  assert.deepEqual(stepsTo(sql), ['addColumns', 'dropIndex'])
})

test('a changed index is dropped and created', () => {
  const sql = BEFORE.replace('ON t (c)', 'ON t (c DESC)')
  assert.deepEqual(stepsTo(sql), ['dropIndex', 'createIndex'])
})

const refused: [string, string][] = [
  [
    'CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY)',
    "won't remove column without the destructive flag set (table: 't', column: 'c')",
  ],
  ['CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, c INTEGER)', "won't change column 'c'"],
  ["CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, c TEXT DEFAULT 'x')", "won't change column 'c'"],
  ['CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, c TEXT)', "can't modify primary keys"],
]

for (const [sql, what] of refused) {
  test(`a migration is refused with its reason: ${sql}`, () => {
    assert.throws(
      () => stepsTo(sql),
      (error) => error instanceof SchemaError && error.message.includes(what),
    )
  })
}
