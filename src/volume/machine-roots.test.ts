import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { parseDeviceId } from './device-id.ts'
import { writeTo } from './device-pages.ts'
import { ext4Bytes } from './grow-ext4.ts'
import { MachineRoots, ROOT_BYTES_MAX } from './machine-roots.ts'
import { ReflinkDriver } from './reflink/reflink-driver.ts'

const MIB = 2 ** 20
const [one, two] = ['148ed599c14181', '148ed599c14182']

async function world(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-roots-'))
  const driver = await ReflinkDriver.open({
    folder: join(folder, 'pool'),
    poolBytes: 2 ** 30,
    isBounded: true,
  })
  t.after(async () => {
    await driver.unmount()
    rmSync(folder, { recursive: true })
  })
  const place = join(driver.sharedFolder, 'roots')
  mkdirSync(place)
  const roots = await MachineRoots.open({ driver, folder: place })
  const drafts = () => readdirSync(join(place, 'drafts'))
  return { folder, driver, roots, drafts, place, base: makeBase(folder, 'hello') }
}

/** As the image part makes them: ext4, read-only, as small as it can be. */
function makeBase(folder: string, content: string) {
  const root = join(folder, `${content}-root`)
  mkdirSync(root)
  writeFileSync(join(root, 'file'), content)
  const path = join(folder, `${content}.v1.ext4`)
  writeFileSync(path, '')
  truncateSync(path, 33 * MIB + 4096)
  execFileSync('mkfs.ext4', ['-q', '-F', '-b', '4096', '-m', '0', '-d', root, path])
  execFileSync('chmod', ['400', path])
  return { path }
}

const read = (path: string, name = 'file') =>
  execFileSync('debugfs', ['-R', `cat ${name}`, path], { stdio: 'pipe' }).toString()
const check = (path: string) => execFileSync('e2fsck', ['-f', '-n', path], { stdio: 'pipe' })
const replaceFile = (path: string, source: string) =>
  execFileSync('debugfs', ['-w', '-R', `write ${source} new`, path], { stdio: 'pipe' })

test('a machine gets its own file system of 8 GiB with the image in it, the same one each time', async (t) => {
  const { roots, base, folder, drafts } = await world(t)
  const root = await roots.ensure(one, base)
  assert.equal(root.isReadOnly, false)
  assert.equal(read(root.path), 'hello')
  assert.equal(await ext4Bytes(root.path), ROOT_BYTES_MAX)
  check(root.path)
  replaceFile(root.path, join(folder, 'hello-root/file'))
  rmSync(base.path)
  makeBase(join(folder, 'pool'), 'hello')
  const again = await roots.ensure(one, { path: join(folder, 'pool/hello.v1.ext4') })
  assert.equal(again.path, root.path)
  assert.equal(read(again.path, 'new'), 'hello')
  const other = await roots.ensure(two, { path: join(folder, 'pool/hello.v1.ext4') })
  assert.notEqual(other.path, root.path)
  assert.equal(read(other.path, 'new'), '')
  assert.deepEqual(drafts(), [])
})

test('a size is kept to, from the image its own up to 8 GiB', async (t) => {
  const { roots, base } = await world(t)
  const small = await roots.ensure(one, base, { sizeBytes: 1 })
  assert.equal(await ext4Bytes(small.path), 36 * MIB)
  const middle = await roots.ensure(two, base, { sizeBytes: 100 * MIB })
  assert.equal(await ext4Bytes(middle.path), 100 * MIB)
  check(middle.path)
  const tooLarge = { code: 'volume.too_large' }
  await assert.rejects(roots.ensure('m3', base, { sizeBytes: ROOT_BYTES_MAX + 1 }), tooLarge)
  await assert.rejects(roots.ensure(two, base, { sizeBytes: 200 * MIB }), { code: 'volume.exists' })
  await assert.rejects(roots.ensure('../m', base), { code: 'volume.id_bad' })
})

test('machines that only read share the base, which stays until the last is removed', async (t) => {
  const { roots, driver, base } = await world(t)
  const [first, second] = await Promise.all(
    [one, two].map((machine) => roots.ensure(machine, base, { readOnly: true })),
  )
  assert(first && second)
  assert.equal(first.path, second.path)
  assert.equal(first.isReadOnly, true)
  assert.equal(read(first.path), 'hello')
  await roots.remove(one)
  assert.equal(await roots.collect(), 0)
  assert.equal(statSync(second.path).isFile(), true)
  await roots.remove(two)
  await roots.remove(two)
  assert.equal(await roots.collect(), 1)
  assert.deepEqual(await driver.list(), [])
})

test('a removed machine leaves nothing, and a base goes when its last machine has gone', async (t) => {
  const { roots, driver, base } = await world(t)
  await Promise.all([one, two].map((machine) => roots.ensure(machine, base, { sizeBytes: MIB })))
  assert.equal((await driver.list()).length, 3)
  await roots.remove(one)
  assert.equal(await roots.collect(), 0)
  await roots.remove(two)
  assert.equal(await roots.collect(), 1)
  assert.deepEqual(await driver.list(), [])
})

test('a base that cannot be grown leaves no draft and no device, and the next attempt succeeds', async (t) => {
  const { roots, driver, folder, drafts, place, base } = await world(t)
  const bad = join(folder, 'bad.v1.ext4')
  writeFileSync(bad, Buffer.alloc(MIB))
  await assert.rejects(roots.ensure(one, { path: bad }), { code: 'volume.tool_failed' })
  assert.deepEqual([drafts(), await driver.list()], [[], []])
  mkdirSync(join(place, 'drafts/draft-of-the-dead'))
  await MachineRoots.open({ driver, folder: place })
  assert.deepEqual(drafts(), [])
  await roots.ensure(one, base)
})

test('a base that was mounted and left unclean is checked before it is grown', async (t) => {
  const { roots, folder } = await world(t)
  const { path } = makeBase(folder, 'touched')
  execFileSync('debugfs', ['-w', '-R', 'ssv mtime now', path], { stdio: 'pipe' })
  execFileSync('debugfs', ['-w', '-R', 'ssv lastcheck 19990101', path], { stdio: 'pipe' })
  const root = await roots.ensure(one, { path })
  assert.equal(await ext4Bytes(root.path), ROOT_BYTES_MAX)
  assert.equal(read(root.path), 'touched')
})

test('a device is no root until all its bytes are there', async (t) => {
  const { driver, folder } = await world(t)
  const file = join(folder, 'plain')
  writeFileSync(file, Buffer.alloc(MIB))
  writeTo(file, 1, 1)
  const stop = new AbortController()
  const made = driver.importFile(parseDeviceId('stopped'), file, stop.signal)
  stop.abort(new Error('enough'))
  await assert.rejects(made, /enough/)
  assert.deepEqual(await driver.list(), [])
})
