import assert from 'node:assert/strict'
import test from 'node:test'
import { TableFixture } from '../routing-table/table.fixture.ts'
import { wantedListeners } from './wanted-listeners.ts'

test('an edge listens on all addresses of its apps, any other host on the private ones alone', () => {
  const rows = new TableFixture().app('a').machine('m1', 'a', 'h1')
  rows.ip('192.0.2.7', 'a', 'shared_v4').ip('fdaa:0:1:0:1::7', 'a', 'private_v6', 1)
  const listens = (isEdge: boolean) => [
    ...wantedListeners(rows.table, { isEdge, protocol: 'tcp' }).keys(),
  ]
  const privates = ['fdaa:0:1:0:1::7 80', 'fdaa:0:1:0:1::7 443']
  assert.deepEqual(listens(true), ['192.0.2.7 80', '192.0.2.7 443', ...privates])
  assert.deepEqual(listens(false), privates)
})

test('an edge listens at its own addresses for the apps that have a shared one', () => {
  const rows = new TableFixture('h1', ['192.0.2.99']).app('a').machine('m1', 'a', 'h1')
  rows.app('b').machine('m2', 'b', 'h1').ip('192.0.2.8', 'b')
  const listens = (protocol: 'tcp' | 'udp') => [
    ...wantedListeners(rows.table, { isEdge: true, protocol }).keys(),
  ]
  assert.deepEqual(listens('tcp'), ['192.0.2.8 80', '192.0.2.8 443'])
  rows.ip('192.0.2.7', 'a', 'shared_v4')
  assert.deepEqual(listens('tcp').slice(-2), ['192.0.2.99 80', '192.0.2.99 443'])
  assert.deepEqual(listens('udp'), [])
})

test('UDP is served by edges at IPv4 addresses that are one app’s own', () => {
  const rows = new TableFixture().app('a').machine('m1', 'a', 'h1')
  rows.service('m1', 'a', [{ port: 5_000 }], { protocol: 'udp', internal_port: 5_000 })
  rows.ip('192.0.2.7', 'a', 'shared_v4').ip('192.0.2.8', 'a').ip('2001:db8::8', 'a', 'v6')
  rows.ip('fdaa:0:1:0:1::7', 'a', 'private_v6', 1)
  const listens = (isEdge: boolean) => [
    ...wantedListeners(rows.table, { isEdge, protocol: 'udp' }).keys(),
  ]
  assert.deepEqual(listens(true), ['192.0.2.8 5000'])
  assert.deepEqual(listens(false), [])
})
