import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newMachineId, seededRandom } from '#base'
import type { GuestSpec } from '../guest-spec.ts'
import { checkSpec, commandLine, tscKiloHertz } from './command-line.ts'

const spec: GuestSpec = {
  id: newMachineId(seededRandom(1)),
  cpu: { kind: 'shared', count: 2 },
  memoryMib: 256,
  rootfs: { serial: 'root', path: '/disks/root, with a comma', readOnly: true },
  disks: [{ serial: 'vol1', path: '/dev/loop7' }],
  network: { netnsPath: '/run/netns/one', device: 'tap0', mac: '02:00:00:00:00:01' },
}
const plan = {
  spec,
  accelerator: 'tcg',
  tscKhz: 2_000_000,
  isIncoming: false,
  descriptors: { qmp: 3, agent: 4, disks: [5, 6] },
  areDevices: [false, true],
} as const

test('QEMU opens no file of the host by its path', () => {
  const words = commandLine(plan)
  assert.ok(!words.some((word) => word.includes('/disks') || word.includes('/dev/loop7')))
  assert.ok(words.includes('fd=5,set=1') && words.includes('fd=6,set=2'))
})

test('disks have their serials in order, and what may only be read cannot be written', () => {
  const words = commandLine(plan)
  const nodes = words.filter((word) => word.includes('node-name='))
  assert.match(nodes[0] ?? '', /^driver=file,node-name=disk0,.*read-only=on/)
  assert.match(nodes[1] ?? '', /^driver=host_device,node-name=disk1,.*read-only=off/)
  const serials = words.flatMap((word) => /serial=(\w+)$/.exec(word)?.[1] ?? [])
  assert.deepEqual(serials, ['root', 'vol1'])
})

test('an emulated kernel is told the rate of its clock, one on KVM finds it out', () => {
  assert.ok(commandLine(plan).some((word) => word.includes('tsc_early_khz=2000000')))
  const onKvm = commandLine({ ...plan, accelerator: 'kvm' })
  assert.ok(!onKvm.some((word) => word.includes('tsc_early_khz')))
})

test('QEMU may start no program and gain no right', () => {
  const words = commandLine(plan)
  const sandbox = words[words.indexOf('-sandbox') + 1] ?? ''
  for (const rule of ['on', 'spawn=deny', 'elevateprivileges=deny', 'resourcecontrol=deny']) {
    assert.ok(sandbox.split(',').includes(rule))
  }
})

test('values that would be words of QEMU or out of range are refused', () => {
  const network = spec.network as NonNullable<typeof spec.network>
  const bad: Partial<GuestSpec>[] = [
    { cpu: { kind: 'shared', count: 0 } },
    { cpu: { kind: 'shared', count: 33 } },
    { memoryMib: 1.5 },
    { rootfs: { serial: 'a,b=c', path: '/x' } },
    { rootfs: { serial: 'x'.repeat(21), path: '/x' } },
    { disks: Array.from({ length: 16 }, () => ({ serial: 'x', path: '/x' })) },
    { network: { ...network, device: 'tap0,script=/bin/sh' } },
    { network: { ...network, mac: '02:00' } },
    { network: { ...network, mtuBytes: 0 } },
  ]
  checkSpec(spec)
  for (const changes of bad) {
    assert.throws(() => checkSpec({ ...spec, ...changes }), { code: 'guest.spec_bad' })
  }
})

test("the rate of the time stamp counter is the name's, else that of the moment", () => {
  const name = 'model name\t: Some CPU @ 2.30GHz\n'
  const now = 'cpu MHz\t\t: 1999.998\n'
  assert.equal(tscKiloHertz(name + now), 2_300_000)
  assert.equal(tscKiloHertz(now), 1_999_998)
  assert.equal(tscKiloHertz('processor : 0\n'), undefined)
})
