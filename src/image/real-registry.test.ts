import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { BlobStore } from './blob-store.ts'
import {
  ACROSS,
  folderFor,
  LOWER,
  layerOf,
  list,
  RESTORED,
  UPPER,
  writeLayout,
} from './image-fixture.ts'
import { pullImage } from './pull.ts'
import { startRealRegistry } from './real-registry.ts'
import { RegistryClient } from './registry-client.ts'
import { unpackImage } from './unpack.ts'

test('what skopeo pushed to docker-registry is pulled and unpacks to what umoci unpacks', async (t) => {
  const folder = folderFor(t)
  const layout = join(folder, 'layout')
  const layers = [
    layerOf(folder, 'lower', LOWER),
    layerOf(folder, 'upper', UPPER),
    layerOf(folder, 'across', ACROSS, ['./etc/one', './etc/two']),
    layerOf(folder, 'restored', RESTORED),
  ]
  writeLayout(layout, layers)
  writeLayout(join(folder, 'zstd'), layers, 'zstd')
  const bundle = join(folder, 'bundle')
  execFileSync('umoci', ['unpack', '--image', `${layout}:v1`, bundle], { stdio: 'pipe' })
  const expected = list(join(bundle, 'rootfs'))
  await using registry = await startRealRegistry(folder)
  for (const [name, source, type, options] of [
    ['team/oci:v1', layout, 'application/vnd.oci.image.layer.v1.tar+gzip', []],
    [
      'team/docker:v1',
      layout,
      'application/vnd.docker.image.rootfs.diff.tar.gzip',
      ['--format', 'v2s2'],
    ],
    [
      'zstd:v1',
      join(folder, 'zstd'),
      'application/vnd.oci.image.layer.v1.tar+zstd',
      ['--preserve-digests'],
    ],
  ] as const) {
    await registry.push(source, name, options)
    const store = await BlobStore.open({ folder: join(folder, 'store'), bytesMax: 1 << 30 })
    using image = await pullImage(new RegistryClient(), store, `${registry.host}/${name}`)
    assert.deepEqual([...new Set(image.manifest.layers.map((one) => one.mediaType))], [type])
    const root = join(folder, 'root')
    mkdirSync(root)
    await unpackImage(image, store, root)
    assert.deepEqual(list(root).split('\n'), expected.split('\n'), name)
    rmSync(root, { recursive: true })
    rmSync(join(folder, 'store'), { recursive: true })
  }
})

test('docker-registry says of a missing tag, repository and digest that there is none', async (t) => {
  const folder = folderFor(t)
  const layout = join(folder, 'layout')
  writeLayout(layout, [layerOf(folder, 'one', 'echo hi > hi')])
  await using registry = await startRealRegistry(folder)
  await registry.push(layout, 'app:v1')
  const store = await BlobStore.open({ folder: join(folder, 'store'), bytesMax: 1 << 30 })
  for (const name of ['app:v2', 'other:v1', `app@sha256:${'0'.repeat(64)}`]) {
    const pulling = pullImage(new RegistryClient(), store, `${registry.host}/${name}`)
    await assert.rejects(pulling, { code: 'image.not_found' })
  }
})
