import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { BaseImages } from './base-images.ts'
import { BlobStore } from './blob-store.ts'
import { digestOf } from './digest.ts'
import { folderFor, layerOf, writeLayout } from './image-fixture.ts'
import { importImage } from './import-image.ts'

async function world(t: TestContext, names: readonly string[] = ['one']) {
  const folder = folderFor(t)
  const store = await BlobStore.open({ folder: join(folder, 'store'), bytesMax: 1 << 30 })
  const images = []
  for (const name of names) {
    writeLayout(join(folder, `of-${name}`), [layerOf(folder, name, `echo ${name} > name`)])
    images.push(await importImage(store, join(folder, `of-${name}`)))
  }
  const base = join(folder, 'base')
  const open = (bytesMax = 1 << 30) => BaseImages.open({ folder: base, store, bytesMax })
  const listed = (part: string) => readdirSync(join(base, part))
  return { folder, store, images, open, listed, base }
}

const read = (path: string, name: string) =>
  execFileSync('debugfs', ['-R', `cat ${name}`, path], { stdio: 'pipe' }).toString()

test('callers at one time share one making of a base; a later one, also after a restart, finds it', async (t) => {
  const { store, images, open, listed } = await world(t)
  const [image] = images
  assert(image)
  const bases = await open()
  const { mock } = t.mock.method(store, 'pathOf') // asked once for each layer that is unpacked
  const [one, two] = await Promise.all([bases.ensure(image), bases.ensure(image)])
  assert.equal(one.path, two.path)
  assert.equal(mock.callCount(), 1)
  assert.equal(read(one.path, 'name'), 'one\n')
  assert.equal(statSync(one.path).mode & 0o777, 0o400)
  const { ino } = statSync(one.path)
  using again = await (await open()).ensure(image)
  assert.equal(statSync(again.path).ino, ino)
  assert.equal(listed('bases').length, 1)
  assert.deepEqual(listed('work'), [])
})

test('what a killed process left is removed when the next one opens', async (t) => {
  const { images, open, base, listed } = await world(t)
  const [image] = images
  assert(image)
  await open()
  mkdirSync(join(base, 'work/base-x/root/etc'), { recursive: true })
  writeFileSync(join(base, 'work/base-x/base.new'), 'half')
  const bases = await open()
  assert.deepEqual(listed('work'), [])
  using made = await bases.ensure(image)
  assert.equal(read(made.path, 'name'), 'one\n')
})

test('a base that cannot be made, or is not wanted any more, leaves nothing behind', async (t) => {
  const { store, images, open, listed } = await world(t)
  const [image] = images
  assert(image)
  const bases = await open()
  const diffIds = [digestOf('another layer')]
  const config = { rootfs: { type: 'layers', diff_ids: diffIds } }
  const wrong = { ...image, configBytes: Buffer.from(JSON.stringify(config)) }
  await assert.rejects(bases.ensure(wrong), { code: 'image.digest_mismatch' })
  const stop = new AbortController()
  const unwanted = bases.ensure(image, { signal: stop.signal })
  stop.abort(new Error('enough'))
  await assert.rejects(unwanted, /enough/)
  assert.deepEqual([listed('bases'), listed('work')], [[], []])
  using made = await bases.ensure(image)
  assert.equal(read(made.path, 'name'), 'one\n')
  assert.notEqual(await store.find(image.digest), undefined)
})

test('collection removes the longest unused base, and never one that is held or pinned', async (t) => {
  const { store, images, open, listed } = await world(t, ['held', 'pinned', 'idle'])
  const bases = await open(0)
  const made = await Promise.all(images.map((image) => bases.ensure(image)))
  const [held, pinned, idle] = made
  assert(held && pinned && idle && images[1])
  await store.pin('machine-1', [images[1].digest])
  pinned[Symbol.dispose]()
  idle[Symbol.dispose]()
  await assert.rejects(bases.collect(), { code: 'image.cache_full' })
  assert.deepEqual(
    listed('bases').sort(),
    [held, pinned].map(({ path }) => path.split('/').at(-1)).sort(),
  )
  held[Symbol.dispose]()
  await store.unpin('machine-1')
  assert(await bases.collect()) // 0 bytes allowed: both go
  assert.deepEqual(listed('bases'), [])
})

test('finding a base counts as a use of it', async (t) => {
  const { images, open, listed } = await world(t, ['early', 'late'])
  const filling = await open()
  for (const image of images) (await filling.ensure(image))[Symbol.dispose]()
  const [early] = images
  assert(early)
  const names = listed('bases')
  assert.equal(names.length, 2)
  using found = await filling.ensure(early)
  const late = names.find((name) => !found.path.endsWith(name))
  assert(late)
  const latePath = found.path.replace(/[^/]+$/, late)
  utimesSync(latePath, new Date(Date.now() - 60_000), new Date(Date.now() - 60_000))
  found[Symbol.dispose]()
  const bytes = (path: string) => statSync(path).blocks * 512
  const bases = await open(bytes(found.path) + bytes(latePath) - 1)
  await bases.collect()
  assert.deepEqual(listed('bases'), [found.path.split('/').at(-1)])
})
