/** For tests: what every block driver promises. Each test has its own devices in one pool, and leaves them. */
import assert from 'node:assert/strict'
import { constants, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { pollUntil } from '#base'
import type { BlockDriver } from './block-driver.ts'
import { parseDeviceId } from './device-id.ts'
import { openDevice, writeTo } from './device-pages.ts'

const MIB = 2 ** 20
const id = parseDeviceId
const machine = id('148ed599c14189')
const other = id('148ed599c14180')

export interface ContractOptions {
  /** How many clones make a crowd. @default 100 */
  readonly crowd?: number
  /** Taken of a device that is written to. @default 6 */
  readonly snapshots?: number
}

/** @param driver of an empty pool of at least 256 MiB; asked for when the first test runs. */
export function testBlockDriver(
  name: string,
  driver: () => BlockDriver,
  { crowd = 100, snapshots = 6 }: ContractOptions = {},
): void {
  const promise = (sentence: string, body: (driver: BlockDriver) => Promise<void>) =>
    test(`${name}: ${sentence}`, () => body(driver()))

  promise('a new device reads as zeros, and has at least the size asked for', testCreate)
  promise('asking again for what is there gives it; for another of its id it is refused', testAgain)
  promise(
    'a clone and its source never see what is written to the other, and outlive it',
    testClone,
  )
  promise('a read-only clone is never attached for writing, and stays as it is', testReadOnly)
  promise('an imported file keeps its bytes, and may go', testImport)
  promise('an extended device keeps its bytes, has zeros after them, and never shrinks', testExtend)
  promise('one holder writes, or many read, and a held device is not removed', testHolders)
  promise('a snapshot holds what was written before it, and nothing after a gap', (one) =>
    testConsistency(one, snapshots),
  )
  promise('what is written takes room, and removing it gives the room back', testRoom)
  promise(`${crowd} clones of a base take no room to speak of`, (one) => testCrowd(one, crowd))
}

async function testCreate(driver: BlockDriver): Promise<void> {
  const made = await driver.create(id('new'), 5 * MIB)
  assert.deepEqual(made, await driver.find(id('new')))
  assert.equal(made.sizeBytes, 8 * MIB)
  const device = await openDevice(driver, id('new'))
  assert.deepEqual(device.read(0, 1, 2047), [0, 0, 0])
  for (const bad of [0, -1, 0.5, Number.NaN]) {
    await assert.rejects(driver.create(id('never'), bad), { code: 'volume.size_bad' })
  }
  await assert.rejects(driver.create(id('never'), 2 ** 50), { code: 'volume.too_large' })
  assert.equal(await driver.find(id('never')), undefined)
}

async function testAgain(driver: BlockDriver): Promise<void> {
  const exists = { code: 'volume.exists' }
  const missing = { code: 'volume.not_found' }
  await driver.create(id('again'), 4 * MIB)
  await driver.create(id('again'), 4 * MIB)
  await assert.rejects(driver.create(id('again'), 8 * MIB), exists)
  await driver.clone(id('again-clone'), id('again'))
  const clone = await openDevice(driver, id('again-clone'))
  clone.write(3, 8)
  await driver.clone(id('again-clone'), id('again'))
  assert.deepEqual(clone.read(3), [8])
  await assert.rejects(driver.clone(id('again-clone'), id('again'), { readOnly: true }), exists)
  await assert.rejects(driver.clone(id('again'), id('again-clone')), exists)
  await assert.rejects(driver.clone(id('again-2'), id('nothing')), missing)
  await assert.rejects(driver.extend(id('nothing'), MIB), missing)
  await assert.rejects(driver.attach(id('nothing'), { holder: machine }), missing)
  await driver.remove(id('again'))
  await driver.remove(id('again'))
  await driver.detach(id('again'), machine)
  assert.equal(await driver.find(id('again')), undefined)
}

async function testClone(driver: BlockDriver): Promise<void> {
  const made = await driver.create(id('source'), 4 * MIB)
  const source = await openDevice(driver, id('source'))
  for (const page of [0, 1]) source.write(page, 1)
  const clone = await driver.clone(id('copy'), id('source'))
  assert.deepEqual(clone, { ...made, id: id('copy'), made: 'cloned', origin: id('source') })
  const copy = await openDevice(driver, id('copy'))
  source.write(0, 2)
  copy.write(1, 3)
  assert.deepEqual(
    [source.read(0, 1), copy.read(0, 1)],
    [
      [2, 1],
      [1, 3],
    ],
  )
  await driver.clone(id('copy-copy'), id('copy'))
  await source[Symbol.asyncDispose]()
  await driver.remove(id('source'))
  assert.deepEqual(copy.read(0, 1), [1, 3])
  await copy[Symbol.asyncDispose]()
  await driver.remove(id('copy'))
  const last = await openDevice(driver, id('copy-copy'))
  assert.deepEqual(last.read(0, 1), [1, 3])
}

async function testReadOnly(driver: BlockDriver): Promise<void> {
  const readOnly = { code: 'volume.read_only' }
  await driver.create(id('live'), 4 * MIB)
  const live = await openDevice(driver, id('live'))
  live.write(5, 1)
  const still = await driver.clone(id('still'), id('live'), { readOnly: true })
  assert.deepEqual(still, await driver.find(id('still')))
  assert.equal(still.isReadOnly, true)
  live.write(5, 2)
  await assert.rejects(driver.attach(id('still'), { holder: machine }), readOnly)
  await assert.rejects(driver.extend(id('still'), 8 * MIB), readOnly)
  const snapshot = await openDevice(driver, id('still'), { readOnly: true })
  await driver.clone(id('back'), id('still'))
  const back = await openDevice(driver, id('back'))
  back.write(6, 9)
  assert.deepEqual(
    [snapshot.read(5, 6), back.read(5, 6)],
    [
      [1, 0],
      [1, 9],
    ],
  )
}

async function testImport(driver: BlockDriver): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-import-'))
  try {
    const file = join(folder, 'base')
    writeFileSync(file, '')
    truncateSync(file, 9 * MIB)
    writeTo(file, 4, 44)
    const made = await driver.importFile(id('imported'), file)
    assert.equal(made.sizeBytes, 12 * MIB)
    writeTo(file, 4, 45)
    rmSync(file)
    const device = await openDevice(driver, id('imported'))
    assert.deepEqual(device.read(3, 4, 5, 3071), [0, 44, 0, 0])
    await assert.rejects(driver.importFile(id('nowhere'), file), { code: 'volume.system' })
    assert.equal(await driver.find(id('nowhere')), undefined)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function testExtend(driver: BlockDriver): Promise<void> {
  await driver.create(id('grows'), 4 * MIB)
  const device = await openDevice(driver, id('grows'))
  device.write(1023, 1)
  await driver.clone(id('stays'), id('grows'))
  const grown = await driver.extend(id('grows'), 11 * MIB)
  assert.equal(grown.sizeBytes, 12 * MIB)
  await driver.extend(id('grows'), 12 * MIB)
  await assert.rejects(driver.extend(id('grows'), 8 * MIB), { code: 'volume.size_bad' })
  device.write(3071, 2)
  assert.deepEqual(device.read(1023, 1024, 3071), [1, 0, 2])
  assert.equal((await driver.find(id('stays')))?.sizeBytes, 4 * MIB)
}

async function testHolders(driver: BlockDriver): Promise<void> {
  const inUse = { code: 'volume.in_use' }
  const held = id('held')
  await driver.create(held, 4 * MIB)
  const first = await driver.attach(held, { holder: machine })
  assert.deepEqual(await driver.attach(held, { holder: machine }), first)
  const holders = [{ holder: machine, isReadOnly: false }]
  assert.deepEqual((await driver.find(held))?.holders, holders)
  await assert.rejects(driver.attach(held, { holder: other }), inUse)
  await assert.rejects(driver.attach(held, { holder: other, readOnly: true }), inUse)
  await assert.rejects(driver.remove(held), inUse)
  await driver.detach(held, other) // never held it
  await driver.detach(held, machine)
  await driver.detach(held, machine)
  for (const holder of [machine, other]) await driver.attach(held, { holder, readOnly: true })
  await assert.rejects(driver.attach(held, { holder: other }), inUse)
  await driver.detach(held, machine)
  await assert.rejects(driver.remove(held), inUse)
  await driver.detach(held, other)
  await driver.remove(held)
}

/** Two pages are counted up in turn, each write on disk before the next begins. */
async function testConsistency(driver: BlockDriver, snapshotCount: number): Promise<void> {
  await driver.create(id('busy'), 4 * MIB)
  const { path } = await driver.attach(id('busy'), { holder: machine })
  const snapshots = Array.from({ length: snapshotCount }, (_, index) => id(`busy-${index}`))
  const floors: number[] = []
  let count = 0
  for (const snapshot of snapshots) {
    const taken = driver.clone(snapshot, id('busy'), { readOnly: true })
    let isTaken = false
    taken.then(
      () => {
        isTaken = true
      },
      () => {
        isTaken = true
      },
    )
    floors.push(count)
    while (!isTaken || count < floors.length * 10) {
      count += 1
      for (const page of [0, 900]) writeTo(path, page, count, constants.O_DSYNC)
      await new Promise(setImmediate)
    }
    await taken
  }
  await driver.detach(id('busy'), machine)
  for (const [index, snapshot] of snapshots.entries()) {
    const device = await openDevice(driver, snapshot, { readOnly: true })
    const [first = Number.NaN, second = Number.NaN] = device.read(0, 900)
    const seen = `${snapshot} has ${first} and ${second}`
    assert(first === second || first === second + 1, seen)
    assert(second >= (floors[index] ?? 0) && first <= count, seen)
  }
}

async function testRoom(driver: BlockDriver): Promise<void> {
  const before = (await driver.stats()).freeBytes
  const bytes = 32 * MIB
  await driver.create(id('heavy'), bytes)
  const { path } = await driver.attach(id('heavy'), { holder: machine })
  writeFileSync(path, Buffer.alloc(bytes, 1), { flag: 'r+', flush: true })
  await driver.detach(id('heavy'), machine)
  const filled = (await driver.stats()).freeBytes
  assert(filled < before - bytes / 2, `${before} free before, ${filled} after`)
  const { mappedBytes, exclusiveBytes } = await usageOf(driver, 'heavy')
  assert.equal(mappedBytes, bytes)
  if (exclusiveBytes !== undefined) assert.equal(exclusiveBytes, bytes)
  await driver.clone(id('heavy-clone'), id('heavy'))
  const shared = await usageOf(driver, 'heavy-clone')
  assert.equal(shared.mappedBytes, bytes)
  if (shared.exclusiveBytes !== undefined) assert.equal(shared.exclusiveBytes, 0)
  await driver.remove(id('heavy'))
  await driver.remove(id('heavy-clone'))
  const isFree = async () => (await driver.stats()).freeBytes > filled + bytes / 2
  await pollUntil('the room to come back', isFree, { deadlineMs: 20_000 }) // file systems free it later
}

async function usageOf(driver: BlockDriver, name: string) {
  const device = (await driver.listUsage()).find((one) => one.id === name)
  assert(device, `${name} is not listed`)
  return device
}

async function testCrowd(driver: BlockDriver, count: number): Promise<void> {
  await driver.create(id('crowd'), 64 * MIB)
  const base = await openDevice(driver, id('crowd'))
  base.write(1, 5)
  const before = (await driver.stats()).freeBytes
  const clones = Array.from({ length: count }, (_, index) => id(`crowd-${index}`))
  for (const clone of clones) await driver.clone(clone, id('crowd'))
  const used = before - (await driver.stats()).freeBytes
  assert(used < 16 * MIB, `${count} clones took ${used} bytes`)
  const last = await openDevice(driver, clones.at(-1) ?? id('none'))
  last.write(1, 6)
  assert.deepEqual([base.read(1), last.read(1)], [[5], [6]])
  const listed = new Set((await driver.list()).map((device) => device.id))
  assert(clones.every((clone) => listed.has(clone)))
}
