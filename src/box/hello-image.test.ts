import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { BlobStore, importImage, parseImageConfig } from '#image'
import { makeHelloImage } from './hello-image.ts'

test('the demo image can be imported, and is the same whenever it is made', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-hello-test-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const layout = join(folder, 'hello')
  const digest = await makeHelloImage(layout)
  assert.equal(await makeHelloImage(layout), digest)
  const store = await BlobStore.open({ folder: join(folder, 'store'), bytesMax: 1 << 30 })
  using image = await importImage(store, layout)
  assert.equal(image.digest, digest)
  assert.deepEqual(parseImageConfig(image.configBytes).cmd, ['/start'])
})
