import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { pollUntil, systemClock, systemRandom } from '#base'
import { parseDeviceId } from '../device-id.ts'
import { openDevice } from '../device-pages.ts'
import { parseMounts } from './loop-pool.ts'
import { ReflinkDriver } from './reflink-driver.ts'

const MIB = 2 ** 20
const POOL_BYTES = 512 * MIB
const disk = parseDeviceId('disk')

/** In a folder whose name the kernel has to escape. */
function place(t: TestContext): string {
  const parent = mkdtempSync(join(tmpdir(), 'godwit-loop-'))
  const folder = join(parent, 'a pool')
  t.after(async () => {
    for (let mounted = mountsIn(folder).length; mounted > 0; mounted -= 1) {
      execFileSync('umount', [join(folder, 'pool')])
    }
    // Whoever looks at a device at this moment keeps it for as long.
    await pollUntil('no loop device', () => loopsOf(folder).length === 0, { deadlineMs: 10_000 })
    rmSync(parent, { recursive: true })
  })
  return folder
}

const mountsIn = (folder: string) =>
  parseMounts(readFileSync('/proc/self/mountinfo', 'utf8')).filter(
    ({ mountPoint }) => mountPoint === join(folder, 'pool'),
  )
const loopsOf = (folder: string) =>
  execFileSync('losetup', ['--noheadings', '--list', '--output', 'NAME,BACK-FILE'])
    .toString()
    .split('\n')
    .filter((line) => line.includes(folder))
const open = (folder: string, poolBytes = POOL_BYTES) =>
  ReflinkDriver.open({ folder, poolBytes, isBounded: true })

test('a pool that is mounted is found, by processes one after another and at one time', async (t) => {
  const folder = place(t)
  const [one, two] = await Promise.all([open(folder), open(folder)])
  await Promise.all([one.create(disk, 4 * MIB), two.create(disk, 4 * MIB)])
  const three = await open(folder)
  assert.equal((await three.list()).length, 1)
  assert.deepEqual([mountsIn(folder).length, loopsOf(folder).length], [1, 1])
})

test('after a restart of the host the pool is mounted again, with all devices and holders', async (t) => {
  const folder = place(t)
  const before = await open(folder)
  await before.create(disk, 4 * MIB)
  const device = await openDevice(before, disk)
  device.write(7, 7)
  await before.unmount()
  assert.deepEqual([mountsIn(folder), loopsOf(folder)], [[], []])
  const after = await open(folder)
  assert.equal((await after.find(disk))?.holders.length, 1)
  assert.deepEqual((await openDevice(after, disk)).read(7), [7])
})

test('a pool grows while it is used, and never shrinks', async (t) => {
  const folder = place(t)
  const small = await open(folder)
  await small.create(disk, 4 * MIB)
  const device = await openDevice(small, disk)
  const before = (await small.stats()).totalBytes
  const large = await open(folder, 2 * POOL_BYTES)
  const { totalBytes } = await large.stats()
  assert(totalBytes > 1.8 * before, `${before} before, ${totalBytes} after`)
  device.write(1, 1)
  assert.equal((await (await open(folder)).stats()).totalBytes, totalBytes)
})

test('a process killed while it makes a pool leaves at most a mount, which the next one finds', async (t) => {
  const folder = place(t)
  const worker = join(import.meta.dirname, '../crash-worker.ts')
  const config = { kind: 'reflink', folder, poolBytes: POOL_BYTES, isBounded: true }
  const words = [
    '--disable-warning=ExperimentalWarning',
    worker,
    JSON.stringify({ config, seed: 1 }),
  ]
  for (let round = 0; round < 6; round += 1) {
    const child = spawn(process.execPath, words, { detached: true, stdio: 'ignore' })
    const gone = once(child, 'exit')
    await pollUntil('the worker to begin', () => statSync(folder, { throwIfNoEntry: false }), {
      ...{ deadlineMs: 10_000, intervalMs: 1 },
    })
    await systemClock.sleep(systemRandom.int(80))
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
    await gone
    const driver = await open(folder)
    assert.deepEqual([mountsIn(folder).length, loopsOf(folder).length], [1, 1])
    await driver.unmount()
    assert.deepEqual([mountsIn(folder), loopsOf(folder)], [[], []])
    rmSync(folder, { recursive: true })
  }
  mkdirSync(folder)
})

test('a full pool refuses what needs room, leaves nothing half made, and works again once it has room', async (t) => {
  const folder = place(t)
  const driver = await open(folder)
  const file = join(folder, 'file')
  writeFileSync(file, Buffer.alloc(400 * MIB, 1))
  await driver.importFile(disk, file)
  const full = { code: 'volume.pool_full' }
  await assert.rejects(driver.importFile(parseDeviceId('second'), file), full)
  assert.deepEqual(readdirSync(join(folder, 'pool/work')), [])
  const filler = join(driver.sharedFolder, 'filler')
  const { freeBytes } = await driver.stats()
  writeFileSync(filler, Buffer.alloc(freeBytes - MIB, 1), { flush: true })
  await assert.rejects(driver.create(parseDeviceId('second'), 4 * MIB), full)
  await assert.rejects(driver.clone(parseDeviceId('second'), disk), full)
  await assert.rejects(driver.extend(disk, 500 * MIB), full)
  await driver.remove(disk)
  await pollUntil('room', async () => (await driver.stats()).freeBytes > 300 * MIB, {
    deadlineMs: 20_000,
  })
  await driver.create(parseDeviceId('second'), 4 * MIB)
})

test('a pool that the kernel has shut down, or that something covers, is called broken', async (t) => {
  const folder = place(t)
  const driver = await open(folder)
  const broken = { code: 'volume.pool_broken' }
  execFileSync('xfs_io', ['-x', '-c', 'shutdown', join(folder, 'pool')])
  await assert.rejects(open(folder), broken)
  execFileSync('umount', [join(folder, 'pool')])
  await open(folder)
  await driver.unmount()
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(folder, 'pool')])
  await assert.rejects(open(folder), broken)
})

test('a pool that is used is not unmounted', async (t) => {
  const folder = place(t)
  const driver = await open(folder)
  const child = spawn('sleep', ['1000'], { cwd: driver.sharedFolder })
  await once(child, 'spawn')
  await assert.rejects(driver.unmount(), { code: 'volume.in_use' })
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
  await driver.unmount()
})

test('a pool of less than XFS can have is refused', async (t) => {
  const folder = place(t)
  await assert.rejects(open(folder, 100 * MIB), { code: 'volume.size_bad' })
})
