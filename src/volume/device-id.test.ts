import assert from 'node:assert/strict'
import test from 'node:test'
import { newMachineId, newVolumeId, seededRandom } from '#base'
import { fc } from '#property'
import { parseDeviceId } from './device-id.ts'
import { DEVICE_BYTES_MAX, deviceSize, SIZE_STEP_BYTES } from './device-size.ts'

test('ids of machines and volumes name devices', () => {
  const random = seededRandom(1)
  for (const id of [newMachineId(random), newVolumeId(random)]) assert.equal(parseDeviceId(id), id)
})

test('what a path or a shell could take for more than a name is refused', () => {
  const bad = ['', '.', '..', 'a/b', '-rf', '_a', 'A', 'a b', 'a\n', 'a;b', '$a', 'a.b', 'ä', '*']
  for (const text of [...bad, 'a'.repeat(64)]) {
    assert.throws(() => parseDeviceId(text), { code: 'volume.id_bad' }, text)
  }
})

test('a device is at least as large as asked for, by less than a step', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: DEVICE_BYTES_MAX }), (bytes) => {
      const size = deviceSize(bytes)
      assert(size >= bytes && size < bytes + SIZE_STEP_BYTES && size % SIZE_STEP_BYTES === 0)
    }),
  )
})
