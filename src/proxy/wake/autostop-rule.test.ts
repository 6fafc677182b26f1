import assert from 'node:assert/strict'
import test from 'node:test'
import { TableFixture } from '../routing-table/table.fixture.ts'
import { chooseVictim } from './autostop-rule.ts'

/** Machines m0, m1, ... of one region with these loads. */
function app(loads: readonly number[], service: Record<string, string | number> = {}) {
  const rows = new TableFixture().app('a').ip('192.0.2.1', 'a')
  for (const [at, load] of loads.entries()) {
    rows.machine(`m${at}`, 'a', 'h1', {
      primary_region: 'ams',
      service: { soft_limit: 20, autostop: 'stop', ...service },
    })
    const [own] = rows.table.machine(`m${at}`)?.services ?? []
    for (let count = 0; count < load; count += 1) own?.take()
  }
  const entry = rows.table.app('a')
  assert(entry)
  const victim = (nowMs = rows.nowMs) => chooseVictim(entry, 'ams', nowMs).victim?.id
  return { rows, victim, entry }
}

test('loads 21, 5, 0: one is in excess; loads 21, 5: none is', () => {
  assert.equal(app([21, 5, 0]).victim(), 'm2')
  assert.equal(app([21, 5]).victim(), undefined)
})

test('the last machine is stopped only at load 0', () => {
  assert.equal(app([0]).victim(), 'm0')
  assert.equal(app([1]).victim(), undefined)
})

test('min_machines_running keeps machines of the primary region, and none elsewhere', () => {
  assert.equal(app([0], { min_machines_running: 1 }).victim(), undefined)
  assert.equal(app([0, 0], { min_machines_running: 1 }).victim(), 'm1')
  assert.equal(app([0, 0], { min_machines_running: 2 }).victim(), undefined)
  const { rows, victim } = app([0], { min_machines_running: 1 })
  rows.change('m0', { primary_region: 'nrt' })
  assert.equal(victim(), 'm0')
})

test('two services on a machine, one of them off: it is never stopped; stop wins over suspend', () => {
  const { rows, victim, entry } = app([0, 0, 0])
  for (const id of ['m0', 'm1', 'm2']) rows.service(id, 'a', [], { internal_port: 9090 })
  assert.equal(victim(), undefined)
  for (const id of ['m0', 'm1', 'm2']) {
    rows.service(id, 'a', [], { internal_port: 9090, autostop: 'suspend' })
  }
  assert.equal(chooseVictim(entry, 'ams', rows.nowMs).how, 'stop')
})

test('nothing is stopped while a machine of the region changes, or right after one was stopped or started', () => {
  const { rows, victim } = app([0, 0, 0])
  rows.change('m2', { state: 'starting' })
  assert.equal(victim(), undefined)
  rows.nowMs += 3 * 60_000
  rows.change('m2', { state: 'started' }) // it was started for a request a moment ago
  assert.equal(victim(), 'm1')
  rows.change('m1', { state: 'stopped' })
  assert.equal(victim(), undefined)
  assert.equal(victim(rows.nowMs + 10 * 60_000), 'm2')
})

test('an idle WebSocket is a load: the single machine that holds it stays', () => {
  const { victim } = app([1], { concurrency_type: 'requests' })
  assert.equal(victim(), undefined)
})
