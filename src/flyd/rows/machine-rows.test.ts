import assert from 'node:assert/strict'
import test from 'node:test'
import { machineRows } from './machine-rows.ts'
import { machineSeen } from './view.fixture.ts'

/** What the proxy is told of the one service of a machine of this configuration. */
function autostartOf(service: object, machine: object = {}): unknown {
  const services = [{ protocol: 'tcp', internal_port: 80, ...service }]
  const rows = machineRows(
    machineSeen('m1', { config: { image: 'x', services, ...machine } }),
    'h1',
  )
  return rows.flatMap((row) => (row.table === 'services' ? [row.cells.autostart] : []))[0]
}

test('a machine is started for a request unless its service, or the machine itself, says no', () => {
  assert.equal(autostartOf({}), 1)
  assert.equal(autostartOf({ autostart: true }), 1)
  assert.equal(autostartOf({ autostart: false }), 0)
  assert.equal(autostartOf({}, { disable_machine_autostart: true }), 0)
})
