import assert from 'node:assert/strict'
import test from 'node:test'
import { type ClusterHost, regionsOf } from './cluster-rows.ts'

const host = (id: string, region: string, more: Partial<ClusterHost> = {}): ClusterHost => ({
  ...{ id, region, state: 'ready', version: '1', backhaul_ip: '', is_gateway: false },
  ...{ is_edge: false, cpus: 4, memory_mb: 1000, machines: 1, started: 1 },
  machines_memory_mb: 256,
  ...more,
})

test('a region counts all of its hosts, and the capacity of those that take machines', () => {
  const hosts = [
    host('nrt-1', 'nrt'),
    host('ams-1', 'ams', { is_gateway: true }),
    host('ams-2', 'ams', { state: 'draining', machines: 2, started: 0 }),
  ]
  const [ams, nrt] = regionsOf(hosts, new Map([['ams', 'Amsterdam']]))
  assert.deepEqual(ams, {
    ...{ code: 'ams', name: 'Amsterdam', hosts: 2, ready: 1, gateways: 1, edges: 0 },
    ...{ machines: 3, started: 1, cpus: 4, memory_mb: 1000, machines_memory_mb: 512 },
  })
  assert.equal(nrt?.name, 'nrt')
})
