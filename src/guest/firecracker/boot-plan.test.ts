import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseMachineId } from '#base'
import { encodeCall } from './api-call.ts'
import {
  type BootFiles,
  bootArgs,
  bootPlan,
  devicePathOf,
  loadPlan,
  resumePlan,
  suspendPlan,
  type VmSpec,
} from './boot-plan.ts'

const spec: VmSpec = {
  id: parseMachineId('148ed599c14189'),
  cpu: { count: 2 },
  memoryMib: 256,
  rootfs: { serial: 'root', path: '/x/root.ext4' },
  disks: [
    { serial: 'vol_a', path: '/x/a.img' },
    { serial: 'swap', path: '/x/swap.img', readOnly: true },
  ],
  network: { netnsPath: '/run/netns/m', device: 'tap0', mac: '06:00:ac:10:00:02' },
}
const files: BootFiles = {
  kernel: '/vmlinux',
  vsock: '/v.sock',
  drives: ['/disk0', '/disk1', '/disk2'],
  serialLog: '/serial.log',
}
const limit = { ops: { size: 100, refill_time: 100 } }
const snapshot = { state: '/state', memory: '/memory' }

test('every request of every plan passes the schemas', () => {
  const options = { diskLimit: limit, networkLimit: { receive: limit } }
  const plans = [
    bootPlan(spec, files, options),
    bootPlan(spec, { ...files, initrd: '/initrd' }),
    suspendPlan(snapshot),
    loadPlan(spec, snapshot, '/v.sock'),
    resumePlan,
  ]
  for (const call of plans.flat()) assert(encodeCall(call))
})

test('a guest is started by the last request, after its network is there', () => {
  const paths = bootPlan(spec, files).map(({ path }) => path)
  assert.equal(paths.at(-1), '/actions')
  assert.equal(paths.filter((path) => path === '/actions').length, 1)
  assert(paths.includes('/network-interfaces/eth0') && paths.includes('/vsock'))
})

test('drives are announced in the order in which init is told of their letters', () => {
  const drives = bootPlan(spec, files).filter(({ path }) => path.startsWith('/drives/'))
  const at = drives.map(({ body }) => body?.['path_on_host'])
  assert.deepEqual(at, ['/disk0', '/disk1', '/disk2'])
  const paths = ['root', 'vol_a', 'swap'].map((serial) => devicePathOf(spec, serial))
  assert.deepEqual(paths, ['/dev/vda', '/dev/vdb', '/dev/vdc'])
  assert.throws(() => devicePathOf(spec, 'other'), { code: 'guest.vmm_call_bad' })
})

test('with an initrd no drive is the root device, without one the first is', () => {
  const roots = (of: BootFiles) =>
    bootPlan(spec, of).flatMap(({ body }) => body?.['is_root_device'] ?? [])
  assert.deepEqual(roots(files), [true, false, false])
  assert.deepEqual(roots({ ...files, initrd: '/initrd' }), [false, false, false])
})

test('kernel arguments that leave no room for what Firecracker appends are refused', () => {
  assert.throws(() => bootArgs(['x'.repeat(1500)]), { code: 'guest.vmm_call_bad' })
})

test('a load is one request, with the new tap, and lets the guest run', () => {
  const [call, ...rest] = loadPlan(spec, snapshot, '/new.sock')
  assert.deepEqual(rest, [])
  assert.equal(call?.body?.['resume_vm'], true)
  assert.deepEqual(call?.body?.['network_overrides'], [{ iface_id: 'eth0', host_dev_name: 'tap0' }])
})
