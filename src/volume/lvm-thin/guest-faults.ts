/** Runs in the guest: lvm-thin when something fails. Numbers are small: a command of LVM takes a third of a second here. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fsyncSync, openSync, writeFileSync, writeSync } from 'node:fs'
import test, { before } from 'node:test'
import { systemClock } from '#base'
import { testCrashes } from '../contract-crash.ts'
import { parseDeviceId } from '../device-id.ts'
import { openDevice } from '../device-pages.ts'
import type { DriverConfig } from '../driver-config.ts'
import { LvmThinDriver } from './lvm-thin-driver.ts'

const MIB = 2 ** 20
const configOf = (group: string) =>
  ({
    ...{ kind: 'lvm-thin', group, pool: 'devices' },
    ...{ devices: [`/dev/disk-${group}`], whenFull: 'fail' },
  }) as const satisfies DriverConfig
let driver: LvmThinDriver

before(async () => {
  driver = await LvmThinDriver.open(configOf('main'))
})

testCrashes('lvm-thin', () => configOf('crash'), {
  rounds: 1,
  lifeMs: 4_000,
  leftovers: async () => volumesOf('crash').filter((name) => /^t[.]|lvol/.test(name)),
})

const volumesOf = (group: string) =>
  execFileSync('lvm', ['lvs', '--noheadings', '-o', 'lv_name', group], { stdio: 'pipe' })
    .toString()
    .split('\n')
    .map((line) => line.trim())

test('lvm-thin: a full pool fails what needs room and nothing else, and works again once it has room', async () => {
  const tiny = await LvmThinDriver.open(configOf('tiny'))
  const [keeps, fills] = ['keeps', 'fills'].map(parseDeviceId)
  assert(keeps && fills)
  await tiny.create(keeps, 4 * MIB)
  await tiny.create(fills, 256 * MIB)
  await using kept = await openDevice(tiny, keeps)
  kept.write(0, 1)
  const greedy = await openDevice(tiny, fills)
  assert.throws(() => fillDevice(greedy.path, 256 * MIB), { code: 'EIO' })
  const full = { code: 'volume.pool_full' }
  await assert.rejects(tiny.create(parseDeviceId('late'), MIB), full)
  await assert.rejects(tiny.clone(parseDeviceId('late'), keeps), full)
  kept.write(0, 2)
  assert.deepEqual(kept.read(0), [2])
  execFileSync('blkdiscard', ['--force', greedy.path])
  const { totalBytes, freeBytes } = await tiny.stats()
  assert(freeBytes > totalBytes / 2, 'what a guest discards is free again')
  await greedy[Symbol.asyncDispose]()
  await tiny.create(parseDeviceId('late'), MIB)
})

function fillDevice(path: string, bytes: number): void {
  const fd = openSync(path, 'w')
  try {
    const piece = Buffer.alloc(MIB, 1)
    for (let at = 0; at < bytes; at += MIB) {
      writeSync(fd, piece, 0, MIB, at)
      fsyncSync(fd)
    }
  } finally {
    closeSync(fd)
  }
}

test('lvm-thin: a device that is open is neither detached nor removed', async () => {
  const held = parseDeviceId('vol_tdata00000000000') // LVM keeps such names to itself
  const holder = parseDeviceId('148ed599c14189')
  await driver.create(held, 4 * MIB)
  const { path } = await driver.attach(held, { holder })
  const fd = openSync(path, 'r')
  await assert.rejects(driver.detach(held, holder), { code: 'volume.in_use' })
  assert.deepEqual((await driver.find(held))?.holders, [{ holder, isReadOnly: false }])
  closeSync(fd)
  await driver.detach(held, holder)
  await driver.remove(held)
})

test('lvm-thin: without its volume group there is no pool, and nothing is made of other disks', async () => {
  const config = { group: 'nowhere', pool: 'devices' }
  await assert.rejects(LvmThinDriver.open(config), { code: 'volume.pool_missing' })
  const bad = { group: 'a b', pool: 'devices' }
  await assert.rejects(LvmThinDriver.open(bad), { code: 'volume.id_bad' })
})

test('lvm-thin: a volume that LVM was killed over is told to the kernel by the next open', async () => {
  await driver.create(parseDeviceId('template'), 4 * MIB)
  await openDevice(driver, parseDeviceId('template')) // an inactive pool would be told as it is activated
  const name = await killUntilDisagreed()
  const again = await LvmThinDriver.open(configOf('main'))
  assert.equal(transactionOf('main'), kernelTransactionOf('main'))
  assert.deepEqual(
    volumesOf('main').filter((one) => one.startsWith('t.')),
    [],
  )
  execFileSync('lvm', ['lvchange', '-ay', '-K', `main/${name}`], { stdio: 'pipe' })
  await again.create(parseDeviceId('after'), 4 * MIB)
})

const transactionOf = (group: string) =>
  execFileSync('lvm', ['lvs', '--noheadings', '-o', 'transaction_id', `${group}/devices`])
    .toString()
    .trim()
const kernelTransactionOf = (group: string) =>
  execFileSync('dmsetup', ['status', `${group}-devices-tpool`])
    .toString()
    .split(' ')[3]

/** Later each time, until it hits between what LVM notes and what it does, which is late in its life. */
async function killUntilDisagreed(): Promise<string> {
  // Slow again: a fast one is now and then killed between two messages to the kernel, which nothing mends yet.
  writeFileSync('/proc/sys/kernel/randomize_va_space', '2')
  const startedMs = systemClock.monotonicMs()
  execFileSync('lvm', cloning('d.whole'), { stdio: 'pipe' })
  const wholeMs = systemClock.monotonicMs() - startedMs
  for (let lifeMs = wholeMs / 2; lifeMs < 2 * wholeMs; lifeMs += wholeMs / 40) {
    const name = `d.killed-${Math.round(lifeMs)}`
    const child = spawn('lvm', cloning(name), { stdio: 'ignore' })
    const gone = once(child, 'exit')
    await systemClock.sleep(lifeMs)
    child.kill('SIGKILL')
    await gone
    if (transactionOf('main') !== kernelTransactionOf('main')) return name
  }
  throw new Error('LVM was never killed at the right moment')
}

function cloning(name: string): string[] {
  const words = ['--type', 'thin', '--activate', 'n', '--setactivationskip', 'y']
  return ['lvcreate', '--addtag', 'made=cloned', ...words, '--name', name, 'main/d.template']
}
