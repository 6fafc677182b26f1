import assert from 'node:assert/strict'
import test from 'node:test'
import type { HostRow } from './host-rows.ts'
import { GONE_MS, KnownHosts } from './known-hosts.ts'

const row = (id: string): HostRow => ({
  id,
  six_pn_prefix: `fdaa:a7b:${id}::/48`,
  mesh_public_key: '',
  mesh_endpoint: '',
})
const ids = (hosts: KnownHosts, nowMs: number) => hosts.rows(nowMs).map(({ id }) => id)

test('a host whose row is gone keeps its link for a while, and has it for good when it comes back', () => {
  const hosts = new KnownHosts()
  hosts.set(row('1'))
  hosts.set(row('2'))
  hosts.gone('1', 1_000)
  assert.deepEqual(ids(hosts, 1_000 + GONE_MS - 1), ['1', '2'])
  hosts.set(row('1'))
  assert.deepEqual(ids(hosts, 2 * GONE_MS), ['1', '2'])
  hosts.gone('1', 0)
  assert.deepEqual(ids(hosts, GONE_MS), ['2'])
})

test('hosts that were remembered count until complete rows have been without them for a while', () => {
  const hosts = new KnownHosts([row('1'), row('2')])
  assert.deepEqual(ids(hosts, 10 * GONE_MS), ['1', '2'])
  hosts.complete(new Set(['2']), 0)
  hosts.complete(new Set(['2']), GONE_MS / 2)
  assert.deepEqual(ids(hosts, GONE_MS - 1), ['1', '2'])
  assert.deepEqual(ids(hosts, GONE_MS), ['2'])
})
