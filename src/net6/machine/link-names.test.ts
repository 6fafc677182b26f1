import assert from 'node:assert/strict'
import test from 'node:test'
import { newMachineId, seededRandom } from '#base'
import { fc } from '#property'
import { hostDevice, machineMac, machineOfDevice, machineOfNetns, netnsName } from './link-names.ts'

test("an interface's name fits, and tells the machine", () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const id = newMachineId(seededRandom(seed))
      assert(hostDevice(id).length <= 15)
      assert.equal(machineOfDevice(hostDevice(id)), id)
      assert.equal(machineOfNetns(netnsName(id)), id)
    }),
  )
  const ends = ['00000000000000', 'ffffffffffffff'] as Parameters<typeof hostDevice>[0][]
  for (const id of ends) assert.equal(machineOfDevice(hostDevice(id)), id)
  for (const other of ['eth0', 'gw-', 'gw-_', 'gw-zzzzzzzzzzz', 'gwmesh0', 'gw-000000000000']) {
    assert.equal(machineOfDevice(other), undefined, other)
  }
  assert.equal(machineOfNetns('godwit-machine-x'), undefined)
})

test('a MAC is of one interface alone, and given by nobody else', () => {
  assert.equal(machineMac(0x1111_2222), '02:6e:11:11:22:22')
})
