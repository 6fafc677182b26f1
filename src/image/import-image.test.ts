import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import { BlobStore } from './blob-store.ts'
import { type Digest, digestOf, fileNameOf } from './digest.ts'
import { folderFor, LOWER, layerOf, list, UPPER, writeLayout } from './image-fixture.ts'
import { importImage } from './import-image.ts'
import { unpackImage } from './unpack.ts'

async function world(t: TestContext) {
  const folder = folderFor(t)
  const layout = join(folder, 'layout')
  writeLayout(layout, [layerOf(folder, 'lower', LOWER), layerOf(folder, 'upper', UPPER)])
  const store = await BlobStore.open({ folder: join(folder, 'store'), bytesMax: 1 << 30 })
  const unpacked = async (path: string, name?: string) => {
    using image = await importImage(store, path, name === undefined ? {} : { name })
    const root = join(folder, 'root')
    mkdirSync(root)
    await unpackImage(image, store, root)
    const found = list(root)
    rmSync(root, { recursive: true })
    return found
  }
  const copy = (target: string) =>
    execFileSync('skopeo', ['copy', '-q', `oci:${layout}:v1`, target], { stdio: 'pipe' })
  return { folder, layout, store, unpacked, copy }
}

test('a layout, its tar and what docker save writes unpack to the same files', async (t) => {
  const { folder, layout, unpacked, copy } = await world(t)
  const [tar, saved] = [join(folder, 'oci.tar'), join(folder, 'docker.tar')]
  copy(`oci-archive:${tar}:v1`)
  copy(`docker-archive:${saved}:example.org/app:v1`)
  const expected = await unpacked(layout)
  assert.match(expected, /etc\/two-hard f/)
  assert.equal(await unpacked(layout, 'v1'), expected)
  assert.equal(await unpacked(tar), expected)
  assert.equal(await unpacked(saved), expected)
  assert.equal(await unpacked(saved, 'example.org/app:v1'), expected)
  for (const path of [layout, tar, saved]) {
    await assert.rejects(unpacked(path, 'other:v2'), { code: 'image.not_found' })
  }
})

test('an image imported twice is one image, and its manifest names its blobs', async (t) => {
  const { folder, store, copy } = await world(t)
  const saved = join(folder, 'docker.tar')
  copy(`docker-archive:${saved}:app:v1`)
  using one = await importImage(store, saved)
  using two = await importImage(store, saved, { name: 'app:v1' })
  assert.equal(one.digest, two.digest)
  assert.equal(digestOf((await store.read(one.digest)) ?? ''), one.digest)
})

test('an altered or missing blob of a layout is refused, and the cache is not poisoned', async (t) => {
  const { layout, folder, store } = await world(t)
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8'))
  const pathOf = (digest: Digest) => join(layout, 'blobs', digest.replace(':', '/'))
  const manifest = JSON.parse(readFileSync(pathOf(index.manifests[0].digest), 'utf8'))
  const { digest, size } = manifest.layers[1]
  const whole = readFileSync(pathOf(digest))
  for (const [bytes, code] of [
    [Buffer.alloc(size, 1), 'image.digest_mismatch'],
    [whole.subarray(1), 'image.size_mismatch'],
    [undefined, 'image.not_found'],
  ] as const) {
    rmSync(pathOf(digest), { force: true })
    if (bytes !== undefined) writeFileSync(pathOf(digest), bytes)
    await assert.rejects(importImage(store, layout), { code })
    assert(!existsSync(join(folder, 'store/blobs', fileNameOf(digest))))
  }
  writeFileSync(pathOf(digest), whole)
  using _image = await importImage(store, layout)
  assert.deepEqual(readdirSync(join(folder, 'store/ingest')), [])
})

/** A tar as `docker save` writes it, of files by name. */
function savedTar(folder: string, files: Readonly<Record<string, Buffer | string>>): string {
  const source = join(folder, 'saved')
  for (const [name, bytes] of Object.entries(files)) {
    mkdirSync(join(source, name, '..'), { recursive: true })
    writeFileSync(join(source, name), bytes)
  }
  execFileSync('tar', ['-C', source, '-cf', join(folder, 'saved.tar'), ...Object.keys(files)])
  return join(folder, 'saved.tar')
}

test('a saved image with compressed layers is read, and a layer that is another is refused', async (t) => {
  const { folder, unpacked } = await world(t)
  const tar = layerOf(folder, 'one', 'echo hi > hi')
  const config = (layer: Buffer) =>
    JSON.stringify({ rootfs: { type: 'layers', diff_ids: [digestOf(layer)] } })
  const document = [{ Config: 'c.json', RepoTags: null, Layers: ['a/layer.tar'] }]
  const files = { 'manifest.json': JSON.stringify(document), 'a/layer.tar': gzipSync(tar) }
  assert.match(await unpacked(savedTar(folder, { ...files, 'c.json': config(tar) })), /^hi f/m)
  const other = savedTar(folder, { ...files, 'c.json': config(Buffer.from('other')) })
  await assert.rejects(unpacked(other), { code: 'image.digest_mismatch' })
})

test('what is no archive, or names files outside of it, is an error that says so', async (t) => {
  const { folder, store } = await world(t)
  const plain = join(folder, 'plain')
  writeFileSync(plain, 'x'.repeat(600))
  await assert.rejects(importImage(store, plain), { code: 'image.archive_bad' })
  writeFileSync(plain, gzipSync('x'))
  await assert.rejects(importImage(store, plain), { code: 'image.archive_bad', fix: /decompress/ })
  await assert.rejects(importImage(store, join(folder, 'none')), { code: 'image.not_found' })
  await assert.rejects(importImage(store, folder), { code: 'image.archive_bad' })
  const document = JSON.stringify([{ Config: '../../etc/passwd', Layers: [] }])
  const outside = savedTar(folder, { 'manifest.json': document })
  await assert.rejects(importImage(store, outside), { code: 'image.not_found' })
  await assert.rejects(importImage(store, join(folder, 'saved')), { code: 'image.archive_bad' })
})
