/** For tests: what every block driver promises. Each test has its own devices in one pool. */
import assert from 'node:assert/strict'
import { constants, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { pollUntil } from '#base'
import type { BlockDriver } from './block-driver.ts'
import { parseDeviceId } from './device-id.ts'
import { readPages, writePage, writeTo } from './device-pages.ts'

const MIB = 2 ** 20
const id = parseDeviceId
const machine = id('148ed599c14189')
const other = id('148ed599c14180')

/** @param driver of an empty pool of at least 256 MiB; asked for when the first test runs. */
export function testBlockDriver(name: string, driver: () => BlockDriver): void {
  const promise = (sentence: string, body: (driver: BlockDriver) => Promise<void>) =>
    test(`${name}: ${sentence}`, () => body(driver()))

  promise('a new device reads as zeros, and has at least the size asked for', testCreate)
  promise(
    'asking again for what is there gives it; asking for another of its id is refused',
    testAgain,
  )
  promise(
    'a clone and its source never see what is written to the other, and outlive it',
    testClone,
  )
  promise('a read-only clone is never attached for writing', testReadOnly)
  promise('an imported file keeps its bytes, and may go', testImport)
  promise(
    'an extended device keeps its bytes, shows zeros after them, and never shrinks',
    testExtend,
  )
  promise('one holder writes, or many read, and a held device is not removed', testHolders)
  promise('a snapshot holds what was written before it, and nothing after a gap', testConsistency)
  promise('what is written takes room, and removing it gives the room back', testRoom)
  promise('a hundred clones of a base take no room to speak of', testHundred)
}

async function testCreate(driver: BlockDriver): Promise<void> {
  const made = await driver.create(id('new'), 5 * MIB)
  assert.deepEqual(made, await driver.find(id('new')))
  assert.equal(made.sizeBytes, 8 * MIB)
  assert.deepEqual(await readPages(driver, id('new'), [0, 1, 2047]), [0, 0, 0])
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
  await writePage(driver, id('again'), 3, 7)
  await driver.create(id('again'), 4 * MIB)
  await assert.rejects(driver.create(id('again'), 8 * MIB), exists)
  await driver.clone(id('again-clone'), id('again'))
  await writePage(driver, id('again-clone'), 3, 8)
  await driver.clone(id('again-clone'), id('again'))
  assert.deepEqual(await readPages(driver, id('again-clone'), [3]), [8])
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
  await driver.create(id('source'), 4 * MIB)
  await writePage(driver, id('source'), 0, 1)
  await writePage(driver, id('source'), 1, 1)
  await driver.clone(id('copy'), id('source'))
  await writePage(driver, id('source'), 0, 2)
  await writePage(driver, id('copy'), 1, 3)
  assert.deepEqual(await readPages(driver, id('source'), [0, 1]), [2, 1])
  assert.deepEqual(await readPages(driver, id('copy'), [0, 1]), [1, 3])
  await driver.clone(id('copy-copy'), id('copy'))
  await driver.remove(id('source'))
  assert.deepEqual(await readPages(driver, id('copy'), [0, 1]), [1, 3])
  await driver.remove(id('copy'))
  assert.deepEqual(await readPages(driver, id('copy-copy'), [0, 1]), [1, 3])
}

async function testReadOnly(driver: BlockDriver): Promise<void> {
  const readOnly = { code: 'volume.read_only' }
  await driver.create(id('live'), 4 * MIB)
  await writePage(driver, id('live'), 5, 1)
  await driver.clone(id('still'), id('live'), { readOnly: true })
  assert.equal((await driver.find(id('still')))?.isReadOnly, true)
  await writePage(driver, id('live'), 5, 2)
  await assert.rejects(driver.attach(id('still'), { holder: machine }), readOnly)
  await assert.rejects(driver.extend(id('still'), 8 * MIB), readOnly)
  assert.deepEqual(await readPages(driver, id('still'), [5]), [1])
  await driver.clone(id('back'), id('still'))
  await writePage(driver, id('back'), 6, 9)
  assert.deepEqual(await readPages(driver, id('back'), [5, 6]), [1, 9])
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
    assert.deepEqual(await readPages(driver, id('imported'), [3, 4, 5, 3071]), [0, 44, 0, 0])
    await assert.rejects(driver.importFile(id('nowhere'), file), { code: 'volume.system' })
    assert.equal(await driver.find(id('nowhere')), undefined)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function testExtend(driver: BlockDriver): Promise<void> {
  await driver.create(id('grows'), 4 * MIB)
  await writePage(driver, id('grows'), 1023, 1)
  await driver.clone(id('stays'), id('grows'))
  const { path } = await driver.attach(id('grows'), { holder: machine })
  const grown = await driver.extend(id('grows'), 11 * MIB)
  assert.equal(grown.sizeBytes, 12 * MIB)
  await driver.extend(id('grows'), 12 * MIB)
  await assert.rejects(driver.extend(id('grows'), 8 * MIB), { code: 'volume.size_bad' })
  writeTo(path, 3071, 2)
  await driver.detach(id('grows'), machine)
  assert.deepEqual(await readPages(driver, id('grows'), [1023, 1024, 3071]), [1, 0, 2])
  assert.equal((await driver.find(id('stays')))?.sizeBytes, 4 * MIB)
}

async function testHolders(driver: BlockDriver): Promise<void> {
  const inUse = { code: 'volume.in_use' }
  await driver.create(id('held'), 4 * MIB)
  const first = await driver.attach(id('held'), { holder: machine })
  assert.deepEqual(await driver.attach(id('held'), { holder: machine }), first)
  assert.deepEqual((await driver.find(id('held')))?.holders, [
    { holder: machine, isReadOnly: false },
  ])
  await assert.rejects(driver.attach(id('held'), { holder: other }), inUse)
  await assert.rejects(driver.attach(id('held'), { holder: other, readOnly: true }), inUse)
  await assert.rejects(driver.remove(id('held')), inUse)
  await driver.detach(id('held'), other) // never held it
  await driver.detach(id('held'), machine)
  await driver.detach(id('held'), machine)
  for (const holder of [machine, other]) await driver.attach(id('held'), { holder, readOnly: true })
  await assert.rejects(driver.attach(id('held'), { holder: other }), inUse)
  await driver.detach(id('held'), machine)
  await assert.rejects(driver.remove(id('held')), inUse)
  await driver.detach(id('held'), other)
  await driver.remove(id('held'))
}

/** Two pages are counted up in turn, each write on disk before the next begins. */
async function testConsistency(driver: BlockDriver): Promise<void> {
  await driver.create(id('busy'), 4 * MIB)
  const { path } = await driver.attach(id('busy'), { holder: machine })
  const snapshots = ['busy-1', 'busy-2', 'busy-3', 'busy-4'].map(id)
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
    const [first = Number.NaN, second = Number.NaN] = await readPages(driver, snapshot, [0, 900])
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

async function testHundred(driver: BlockDriver): Promise<void> {
  await driver.create(id('crowd'), 64 * MIB)
  await writePage(driver, id('crowd'), 1, 5)
  const before = (await driver.stats()).freeBytes
  const clones = Array.from({ length: 100 }, (_, index) => id(`crowd-${index}`))
  for (const clone of clones) await driver.clone(clone, id('crowd'))
  const used = before - (await driver.stats()).freeBytes
  assert(used < 16 * MIB, `a hundred clones took ${used} bytes`)
  const last = clones.at(-1) ?? id('none')
  await writePage(driver, last, 1, 6)
  assert.deepEqual(await readPages(driver, last, [1]), [6])
  assert.deepEqual(await readPages(driver, id('crowd-0'), [1]), [5])
  const listed = new Set((await driver.list()).map((device) => device.id))
  assert(clones.every((clone) => listed.has(clone)))
  for (const clone of clones) await driver.remove(clone)
}
