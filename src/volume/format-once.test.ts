import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { parseDeviceId } from './device-id.ts'
import { openDevice } from './device-pages.ts'
import { formatOnce } from './format-once.ts'
import { ReflinkDriver } from './reflink/reflink-driver.ts'

const MIB = 2 ** 20
const volume = parseDeviceId('vol_2n0l3vl60qpv635d')

async function openPool(t: TestContext): Promise<ReflinkDriver> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-format-'))
  const driver = await ReflinkDriver.open({ folder, poolBytes: 2 ** 30, isBounded: true })
  t.after(async () => {
    await driver.unmount()
    rmSync(folder, { recursive: true })
  })
  return driver
}

const typeOf = (path: string) =>
  execFileSync('blkid', ['-p', '-o', 'value', '-s', 'TYPE', path]).toString().trim()

for (const [format, sizeBytes] of [
  ['ext4', 16 * MIB],
  ['xfs', 320 * MIB],
] as const) {
  test(`a volume gets ${format} once, and never again`, async (t) => {
    const driver = await openPool(t)
    await formatOnce(driver, volume, { sizeBytes, format })
    await using device = await openDevice(driver, volume)
    assert.equal(typeOf(device.path), format)
    device.write(0, 77) // whatever a guest makes of it
    await formatOnce(driver, volume, { sizeBytes, format })
    assert.deepEqual(device.read(0), [77])
    const other = { sizeBytes: 2 * sizeBytes, format }
    await assert.rejects(formatOnce(driver, volume, other), { code: 'volume.exists' })
    assert.deepEqual(
      (await driver.list()).map(({ id }) => id),
      [volume],
    )
  })
}

test('a raw volume is zeros', async (t) => {
  const driver = await openPool(t)
  await formatOnce(driver, volume, { sizeBytes: 16 * MIB, format: 'raw' })
  await using device = await openDevice(driver, volume)
  assert.deepEqual(device.read(0, 1, 15), [0, 0, 0])
})

test('formatting that was cut short begins anew, and leaves nothing', async (t) => {
  const driver = await openPool(t)
  const draft = parseDeviceId(`new-${volume}`)
  await driver.create(draft, 64 * MIB)
  await driver.attach(draft, { holder: parseDeviceId('format') })
  const size = { sizeBytes: 4 * MIB, format: 'xfs' } as const // too small for XFS
  await assert.rejects(formatOnce(driver, volume, size), { code: 'volume.tool_failed' })
  assert.equal(await driver.find(volume), undefined)
  await formatOnce(driver, volume, { sizeBytes: 16 * MIB, format: 'ext4' })
  assert.deepEqual(
    (await driver.list()).map(({ id }) => id),
    [volume],
  )
})
