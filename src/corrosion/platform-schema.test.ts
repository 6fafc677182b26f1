import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { PLATFORM_SCHEMA } from './platform-schema.ts'
import { Store } from './store/store.ts'

test('the platform schema is taken by the store, and every row says which host owns it', () => {
  const store = new Store({ path: ':memory:', now: () => 1n })
  store.migrate(PLATFORM_SCHEMA)
  assert.deepEqual(store.migrate(PLATFORM_SCHEMA), [], 'a second time changes nothing')
  assert.ok(store.tables.size >= 11)
  for (const [name, { shape }] of store.tables) {
    const columns = [...shape.key, ...shape.columns].map((column) => column.name)
    assert.ok(name === 'hosts' || columns.includes('host_id'), `${name} has an owner`)
  }
  store.close()
})

test('a row of each table can be written with nothing but its key', () => {
  const store = new Store({ path: ':memory:', now: () => 1n })
  store.migrate(PLATFORM_SCHEMA)
  for (const [name, { shape }] of store.tables) {
    const keys = shape.key.map((column) => column.name)
    const values = shape.key.map(({ type }) => (type === 'INTEGER' ? '1' : `'x'`))
    const sql = `INSERT INTO ${name} (${keys.join(', ')}) VALUES (${values.join(', ')})`
    assert.notEqual(store.transaction(() => store.statement(sql).run()).version, null)
  }
  store.close()
})

test('the manual names every table', () => {
  const manual = readFileSync(new URL('../../docs/platform-schema.md', import.meta.url), 'utf8')
  const tables = [...PLATFORM_SCHEMA.matchAll(/CREATE TABLE (\w+)/g)].map(([, name]) => name)
  for (const table of tables) assert.ok(manual.includes(`\`${table}\``), `${table}`)
})
