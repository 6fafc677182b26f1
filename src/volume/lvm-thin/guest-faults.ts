/** Runs in the guest: lvm-thin when something fails. Numbers are small: a command of LVM takes a third of a second here. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fsyncSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import test, { before } from 'node:test'
import { errorCode, systemClock } from '#base'
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

test('lvm-thin: what a killed LVM left is mended by the next open: the kernel is told, and no device hangs', async () => {
  const template = parseDeviceId('template')
  await driver.create(template, 4 * MIB)
  await openDevice(driver, template) // an inactive pool would be told as it is activated
  const seen = { disagreed: 0, suspended: 0 }
  const areBoth = () => seen.disagreed > 0 && seen.suspended > 0
  const whole = () => execFileSync('lvm', cloning('d.whole'), { stdio: 'pipe' })
  await untilSeen(areBoth, whole, async (at, passes) => {
    const name = `d.killed-${at}`
    const child = spawn('lvm', cloning(name), { stdio: 'ignore' })
    const gone = once(child, 'exit')
    await passes
    child.kill('SIGKILL')
    await gone
    noteState(seen)
    await LvmThinDriver.open(configOf('main'))
    assertWell()
    if (!volumesOf('main').includes(name)) return
    execFileSync('lvm', ['lvchange', '-ay', '-K', `main/${name}`], { stdio: 'pipe' })
    execFileSync('lvm', ['lvremove', '--force', `main/${name}`], { stdio: 'pipe' })
  })
})

test('lvm-thin: a driver whose command of LVM was killed mends it before the next one', async () => {
  const template = parseDeviceId('template')
  const seen = { disagreed: 0, suspended: 0 }
  const isAny = () => seen.disagreed > 0 || seen.suspended > 0
  const whole = () => driver.clone(parseDeviceId('whole-clone'), template)
  await untilSeen(isAny, whole, async (at, passes) => {
    const [id, next] = [`killed-${at}`, `next-${at}`].map(parseDeviceId)
    assert(id && next)
    const making = driver.clone(id, template).then(
      () => true,
      () => false,
    )
    await passes
    killLvm()
    const isMade = await making
    if (!isMade) noteState(seen)
    await driver.clone(next, template)
    assertWell()
    for (const one of [id, next]) await driver.remove(one)
  })
})

interface Seen {
  disagreed: number
  suspended: number
}

/** Between what LVM notes and what it does, which is late in its life: the kernel has not heard of it, or a device rests. */
function noteState(seen: Seen): void {
  if (transactionOf('main') !== kernelTransactionOf('main')) seen.disagreed += 1
  if (suspended().length > 0) seen.suspended += 1
}

function assertWell(): void {
  assert.equal(transactionOf('main'), kernelTransactionOf('main'))
  assert.deepEqual(suspended(), [])
  const drafts = volumesOf('main').filter((one) => one.startsWith('t.'))
  assert.deepEqual(drafts, [])
}

/**
 * Kills later each time, and again from the beginning.
 *
 * @param whole what is killed, once to its end: that tells how long it takes
 */
async function untilSeen(
  isSeen: () => boolean,
  whole: () => unknown,
  round: (at: number, passes: Promise<void>) => Promise<void>,
): Promise<void> {
  const startedMs = systemClock.monotonicMs()
  await whole()
  const wholeMs = systemClock.monotonicMs() - startedMs
  for (let at = 0; at < ROUNDS_MAX; at += 1) {
    const share = 0.5 + (0.6 * (at % ROUNDS_A_PASS)) / ROUNDS_A_PASS
    await round(at, systemClock.sleep(share * wholeMs))
    if (isSeen()) return
  }
  assert.fail('LVM was never killed at the right moment')
}

const ROUNDS_MAX = 100
const ROUNDS_A_PASS = 20

function killLvm(): void {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (readFileSync(`/proc/${pid}/comm`, 'utf8') === 'lvm\n')
        process.kill(Number(pid), 'SIGKILL')
    } catch (error) {
      if (!['ENOENT', 'ESRCH'].includes(errorCode(error) ?? '')) throw error // it has ended
    }
  }
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

function cloning(name: string): string[] {
  const words = ['--type', 'thin', '--activate', 'n', '--setactivationskip', 'y']
  return ['lvcreate', '--addtag', 'made=cloned', ...words, '--name', name, 'main/d.template']
}
