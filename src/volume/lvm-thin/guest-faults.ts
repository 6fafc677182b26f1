/** Runs in the guest: lvm-thin when something fails. Numbers are small: a command of LVM takes a third of a second here. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fsyncSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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

test('lvm-thin: a snapshot over which LVM was killed between its two messages to the kernel is made anew by the next open', async () => {
  const [origin, whole, half] = ['origin', 'whole', 'half'].map(parseDeviceId)
  assert(origin && whole && half)
  await driver.create(origin, 4 * MIB)
  await using used = await openDevice(driver, origin)
  used.write(0, 1)
  await driver.clone(whole, origin)
  used.write(0, 2)
  leaveUntold('main', 'd.half', 'd.origin')
  used.write(0, 3)
  const again = await LvmThinDriver.open(configOf('main'))
  assertWell('main')
  assert.deepEqual(used.read(0), [3])
  for (const [id, value] of new Map([
    [whole, 1],
    [half, 3],
  ])) {
    await using copy = await openDevice(again, id)
    assert.deepEqual(copy.read(0), [value], id)
  }
})

test('lvm-thin: a driver that meets such a snapshot mends the pool before its next command, one that rests as well', async () => {
  const [origin, next] = ['origin', 'next'].map(parseDeviceId)
  assert(origin && next)
  await using used = await openDevice(driver, origin)
  leaveUntold('main', 'd.other-half', 'd.origin')
  await assert.rejects(driver.clone(next, origin), { code: 'volume.tool_failed' })
  execFileSync('dmsetup', ['suspend', '--noflush', 'main-devices-tpool'])
  const writing = writeFile(used.path, Buffer.alloc(1), { flag: 'r+', flush: true })
  await driver.clone(next, origin)
  await writing
  assertWell('main')
  for (const id of [next, parseDeviceId('other-half')]) await driver.remove(id)
})

test('lvm-thin: a host that went down over such a snapshot comes up with a pool that works', async () => {
  const [keeps, half] = ['keeps', 'half'].map(parseDeviceId)
  assert(keeps && half)
  leaveUntold('tiny', 'd.half', 'd.keeps')
  execFileSync('lvm', ['vgchange', '--activate', 'n', 'tiny'], { stdio: 'pipe' })
  const tiny = await LvmThinDriver.open(configOf('tiny'))
  assertWell('tiny')
  for (const id of [keeps, half]) {
    await using device = await openDevice(tiny, id)
    assert.deepEqual(device.read(0), [2], id)
  }
})

test('lvm-thin: a snapshot that LVM was killed over before the kernel heard of it is made by the next open, and no device hangs', async () => {
  const unheard = parseDeviceId('unheard')
  await using used = await openDevice(driver, parseDeviceId('origin'))
  used.write(0, 4)
  leaveUntold('main', 'd.unheard', 'd.origin', { isMade: false })
  execFileSync('dmsetup', ['suspend', 'main-d.origin'])
  const again = await LvmThinDriver.open(configOf('main'))
  assertWell('main')
  used.write(0, 5)
  await using copy = await openDevice(again, unheard)
  assert.deepEqual(copy.read(0), [4])
})

/**
 * What LVM leaves that is killed over a snapshot: it has still to tell the kernel of it.
 *
 * @param isMade it was killed between its two messages: the kernel has the snapshot, and does not know that it is whole
 */
function leaveUntold(group: string, name: string, origin: string, { isMade = true } = {}): void {
  const run = (command: string, ...words: string[]) =>
    execFileSync(command, words, { stdio: 'pipe' })
  const tell = (...words: unknown[]) =>
    run('dmsetup', 'message', `${group}-devices-tpool`, '0', words.join(' '))
  run('lvm', ...cloning(group, name, origin))
  const transaction = Number(transactionOf(group))
  const file = join(tmpdir(), group)
  run('lvm', 'vgcfgbackup', '--file', file, group)
  const queued = `$&message1 {\ncreate = "${name}"\n}\n`
  const text = readFileSync(file, 'utf8').replace(`transaction_id = ${transaction}\n`, queued)
  writeFileSync(file, text)
  tell('set_transaction_id', transaction, transaction - 1)
  run('lvm', 'vgcfgrestore', '--yes', '--force', '--file', file, group)
  assert.notEqual(transactionOf(group), kernelTransactionOf(group))
  if (isMade) assert.throws(() => run('lvm', ...cloning(group, 'd.never', origin)), /File exists/)
  else tell('delete', run('lvm', 'lvs', '--noheadings', '-o', 'thin_id', `${group}/${name}`))
}

test('lvm-thin: a volume that LVM was killed over is told to the kernel by the next open', async () => {
  await driver.create(parseDeviceId('template'), 4 * MIB)
  await openDevice(driver, parseDeviceId('template')) // an inactive pool would be told as it is activated
  const name = await killUntilDisagreed()
  const again = await LvmThinDriver.open(configOf('main'))
  assertWell('main')
  execFileSync('lvm', ['lvchange', '-ay', '-K', `main/${name}`], { stdio: 'pipe' })
  await again.create(parseDeviceId('after'), 4 * MIB)
})

function assertWell(group: string): void {
  assert.equal(transactionOf(group), kernelTransactionOf(group))
  assert.deepEqual(suspended(), [])
  const drafts = volumesOf(group).filter((one) => one.startsWith('t.'))
  assert.deepEqual(drafts, [])
}

const suspended = () =>
  execFileSync('dmsetup', ['info', '-c', '--noheadings', '-o', 'name,suspended'])
    .toString()
    .split('\n')
    .filter((line) => line.includes('Suspended'))

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
  // Slow again, for the moment to be long enough.
  writeFileSync('/proc/sys/kernel/randomize_va_space', '2')
  const startedMs = systemClock.monotonicMs()
  execFileSync('lvm', cloning('main', 'd.complete', 'd.template'), { stdio: 'pipe' })
  const wholeMs = systemClock.monotonicMs() - startedMs
  for (let lifeMs = wholeMs / 2; lifeMs < 2 * wholeMs; lifeMs += wholeMs / 40) {
    const name = `d.killed-${Math.round(lifeMs)}`
    const child = spawn('lvm', cloning('main', name, 'd.template'), { stdio: 'ignore' })
    const gone = once(child, 'exit')
    await systemClock.sleep(lifeMs)
    child.kill('SIGKILL')
    await gone
    if (transactionOf('main') !== kernelTransactionOf('main')) return name
  }
  throw new Error('LVM was never killed at the right moment')
}

function cloning(group: string, name: string, origin: string): string[] {
  const words = ['--type', 'thin', '--activate', 'n', '--setactivationskip', 'y']
  return ['lvcreate', '--addtag', 'made=cloned', ...words, '--name', name, `${group}/${origin}`]
}
