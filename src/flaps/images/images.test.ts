import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { createLog } from '#base'
import { digestOf, parseReference, RegistryClient } from '#image'
import { ImageDepot } from './image-depot.ts'
import { serveImages } from './serve-images.ts'

const log = createLog({ part: 'flaps', level: 'error' })
const layer = Buffer.alloc(100_000, 'layer')
const config = Buffer.from('{"architecture":"amd64","os":"linux"}')
const manifest = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    config: descriptor('application/vnd.oci.image.config.v1+json', config),
    layers: [descriptor('application/vnd.oci.image.layer.v1.tar', layer)],
  }),
)

function descriptor(mediaType: string, bytes: Buffer) {
  return { mediaType, digest: digestOf(bytes), size: bytes.length }
}

async function depotIn(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-images-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return { depot: await ImageDepot.open(folder), reopen: () => ImageDepot.open(folder) }
}

const pieceOf = (app: string, blob: Buffer, offset: number, end = blob.length) => ({
  ...{ app, digest: digestOf(blob), size: blob.length, offset },
  bytes: blob.subarray(offset, end),
})

test('an image that was brought in pieces is pulled by hosts, from the gateway that has it', async (t) => {
  const { depot, reopen } = await depotIn(t)
  await depot.receive(pieceOf('web', config, 0))
  assert.equal((await depot.receive(pieceOf('web', layer, 0, 60_000))).have, 60_000)
  const later = await reopen() // as after a kill
  assert.deepEqual(await later.received('web', digestOf(layer)), {
    have: 60_000,
    isComplete: false,
  })
  await assert.rejects(later.receive(pieceOf('web', layer, 10)), { code: 'flaps.conflict' })
  await later.receive(pieceOf('web', layer, 60_000))
  const digest = await later.accept('web', manifest)
  await using server = await serveImages(later, { listen: { host: '127.0.0.1', port: 0 }, log })
  await using empty = await serveImages((await depotIn(t)).depot, {
    listen: { host: '127.0.0.1', port: 0 },
    log,
  })
  const hosts = [`127.0.0.1:${empty.port}`, `127.0.0.1:${server.port}`]
  const client = new RegistryClient({ inPlaceOf: async () => hosts, attemptsMax: 1 })
  const reference = parseReference(`images.internal/web@${digest}`)
  assert.deepEqual((await client.manifest(reference)).bytes, manifest)
  const wanted = descriptor('application/vnd.oci.image.layer.v1.tar', layer)
  for (const offset of [0, 99_999]) {
    const got = await client.blob(reference, wanted, { offset, skipHosts: 1 })
    const pieces: Uint8Array[] = []
    for await (const piece of got.bytes) pieces.push(piece)
    assert.deepEqual(Buffer.concat(pieces), layer.subarray(offset))
  }
})

test('an app cannot name what another one brought, nor learn that it is there', async (t) => {
  const { depot } = await depotIn(t)
  for (const blob of [config, layer]) await depot.receive(pieceOf('web', blob, 0))
  const digest = await depot.accept('web', manifest)
  assert.deepEqual(await depot.received('tern', digestOf(layer)), { have: 0, isComplete: false })
  await assert.rejects(depot.accept('tern', manifest), { code: 'flaps.argument_bad' })
  assert.equal(await depot.manifest('tern', digest), undefined)
})

test('bytes that are not what their digest says are refused, and the upload begins anew', async (t) => {
  const { depot } = await depotIn(t)
  const wrong = { ...pieceOf('web', layer, 0), bytes: Buffer.alloc(layer.length, 'other') }
  await assert.rejects(depot.receive(wrong), { code: 'flaps.argument_bad' })
  assert.equal((await depot.received('web', digestOf(layer))).have, 0)
  assert.equal((await depot.receive(pieceOf('web', layer, 0))).isComplete, true)
})

test('what is no manifest of one image, or lacks blobs, is refused', async (t) => {
  const { depot } = await depotIn(t)
  for (const bytes of ['', '{}', '[]', '{"manifests":[]}', manifest.toString()]) {
    await assert.rejects(depot.accept('web', Buffer.from(bytes)), { code: 'flaps.argument_bad' })
  }
})
