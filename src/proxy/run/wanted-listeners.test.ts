import assert from 'node:assert/strict'
import test from 'node:test'
import { TableFixture } from '../routing-table/table.fixture.ts'
import { wantedListeners } from './wanted-listeners.ts'

test('an edge listens on all addresses of its apps, any other host on the private ones alone', () => {
  const rows = new TableFixture().app('a').machine('m1', 'a', 'h1')
  rows.ip('192.0.2.7', 'a', 'shared_v4').ip('fdaa:0:1:0:1::7', 'a', 'private_v6', 1)
  const listens = (isEdge: boolean) => [...wantedListeners(rows.table, { isEdge }).keys()]
  const privates = ['fdaa:0:1:0:1::7 80', 'fdaa:0:1:0:1::7 443']
  assert.deepEqual(listens(true), ['192.0.2.7 80', '192.0.2.7 443', ...privates])
  assert.deepEqual(listens(false), privates)
})
