import assert from 'node:assert/strict'
import test from 'node:test'
import { newMachineId, systemRandom } from '#base'
import type { ImageConfig } from '#image'
import type { MachineConfig } from './machine-config.ts'
import type { PreparedDisks } from './machine-disks.ts'
import { planMachine } from './plan-machine.ts'
import { stopSignalOf } from './stop-signal.ts'

const id = newMachineId(systemRandom)
const image: { config: ImageConfig; userFiles: { passwd: string; group: string } } = {
  config: {
    entrypoint: ['/entry'],
    cmd: ['run'],
    env: ['PATH=/image/bin', 'A=image', 'B=image'],
    workingDir: '/srv',
    user: 'app',
    stopSignal: 'SIGTERM',
    diffIds: [],
  },
  userFiles: { passwd: 'app:x:1000:1001::/home/app:/bin/sh\n', group: 'extra:x:7:app\n' },
}
const disks: PreparedDisks = {
  root: { path: '/pool/root', readOnly: false },
  volumes: [],
  swapPath: undefined,
}
const basic: MachineConfig = { cpu: { kind: 'shared', count: 1 }, memoryMib: 256 }
const plan = (changes: Partial<MachineConfig> = {}, more: Partial<PreparedDisks> = {}) =>
  planMachine({ id, config: { ...basic, ...changes }, image, disks: { ...disks, ...more } })

test('a machine that says nothing runs what its image says, as whom and where it says', () => {
  const { spec, config, files } = plan()
  assert.deepEqual(config.argv, ['/entry', 'run'])
  assert.deepEqual(config.env, {
    ...{ PATH: '/image/bin', HOME: '/home/app', A: 'image', B: 'image' },
  })
  assert.deepEqual(config.user, { uid: 1000, gid: 1001, groups: [7] })
  assert.equal(config.cwd, '/srv')
  assert.equal(config.hostname, id)
  assert.deepEqual(config.hosts, [{ address: '127.0.1.1', names: [id] }])
  assert.deepEqual(config.links, [{ name: 'lo' }])
  assert.deepEqual(files, [])
  assert.deepEqual(spec, {
    ...{ id, ...basic, disks: [] },
    rootfs: { serial: 'root', path: '/pool/root', readOnly: false },
  })
})

test('exec replaces the whole command, an entrypoint drops the cmd of the image, a cmd replaces it', () => {
  const argv = (process: MachineConfig['process'] & object) => plan({ process }).config.argv
  assert.deepEqual(argv({ exec: ['/x', 'y'], cmd: ['no'] }), ['/x', 'y'])
  assert.deepEqual(argv({ entrypoint: ['/other'] }), ['/other'])
  assert.deepEqual(argv({ entrypoint: ['/other'], cmd: ['z'] }), ['/other', 'z'])
  assert.deepEqual(argv({ cmd: ['one word'] }), ['/entry', 'one word'])
  assert.deepEqual(argv({ exec: [], entrypoint: [], cmd: [] }), ['/entry', 'run'])
})

test('of a variable the platform has the last word, then the machine, then the image', () => {
  const { config } = planMachine({
    ...{ id, image, disks, platformEnv: { FLY_REGION: 'nrt' } },
    config: { ...basic, process: { env: { A: 'machine', FLY_REGION: 'mine' } } },
  })
  assert.equal(config.env?.['A'], 'machine')
  assert.equal(config.env?.['B'], 'image')
  assert.equal(config.env?.['FLY_REGION'], 'nrt')
})

test('volumes and swap are disks that init finds by serial; the command owns its volumes', () => {
  const mount = { volume: 'data', path: '/data' }
  const { spec, config } = plan(
    {},
    { volumes: [{ mount, path: '/pool/data', type: 'ext4' }], swapPath: '/pool/swap' },
  )
  const owner = { uid: 1000, gid: 1001 }
  assert.deepEqual(spec.disks, [
    {
      ...{ serial: 'volume0', path: '/pool/data', readOnly: false },
      mount: { path: '/data', type: 'ext4', owner },
    },
    { serial: 'swap', path: '/pool/swap' },
  ])
  assert.deepEqual(config.volumes, [{ device: 'volume0', path: '/data', type: 'ext4', owner }])
  assert.deepEqual(config.swapDevices, ['swap'])
})

test('a network is told to the runtime and to init', () => {
  const network = {
    ...{ netnsPath: '/run/netns/x', device: 'tap0', mac: '02:00:00:00:00:01', mtuBytes: 1400 },
    addresses: [{ cidr: '10.0.0.2/30', gateway: '10.0.0.1' }],
    nameservers: ['10.0.0.1'],
  }
  const { spec, config } = plan({ network })
  assert.equal(spec.network?.device, 'tap0')
  assert.deepEqual(config.links, [{ name: 'lo' }, { name: 'eth0', mtuBytes: 1400 }])
  assert.deepEqual(config.addresses, [{ link: 'eth0', cidr: '10.0.0.2/30', gateway: '10.0.0.1' }])
  assert.deepEqual(config.nameservers, ['10.0.0.1'])
})

test('what cannot be is refused before anything is booted', () => {
  const refused: [Partial<MachineConfig>, Partial<PreparedDisks>?][] = [
    [{ cpu: { kind: 'shared', count: 0 } }],
    [{ memoryMib: 1 }],
    [{ hostname: 'a b' }],
    [{ process: { env: { 'A=B': 'c' } } }],
    [{ process: { workingDir: 'relative' } }],
    [{ files: [{ path: '/../etc/passwd', content: Buffer.from('') }] }],
    [{ mounts: [{ volume: 'data', path: '/' }] }],
    [
      {
        mounts: [
          { volume: 'a', path: '/data' },
          { volume: 'b', path: '/data' },
        ],
      },
    ],
  ]
  for (const [changes, more] of refused) {
    assert.throws(
      () => plan(changes, more),
      { code: 'machine.config_bad' },
      JSON.stringify(changes),
    )
  }
  assert.throws(() => plan({ process: { user: 'nobody-here' } }), { code: 'image.user_unknown' })
})

test('signals are read as images and people write them', () => {
  assert.deepEqual(
    ['SIGTERM', 'term', '15', 'SIGRTMIN+3', 'int'].map(stopSignalOf),
    [15, 15, 15, 37, 2],
  )
  for (const text of ['', 'SIGNONE', '0', '65']) {
    assert.throws(() => stopSignalOf(text), { code: 'machine.config_bad' })
  }
})
