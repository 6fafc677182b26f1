import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { createLog, pollUntil, systemClock } from '#base'
import { digestOf, parseReference, RegistryClient } from '#image'
import { Action } from '#macaroon'
import type { App } from '../directory.ts'
import { FlapsWorld } from '../fixture/flaps-world.ts'
import { buildServer } from '../server.ts'
import { ImageDepot, type ImageDepotOptions } from './image-depot.ts'
import { chooseImages } from './image-owners.ts'
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

async function depotIn(t: TestContext, options: Omit<ImageDepotOptions, 'folder'> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-images-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return {
    depot: await ImageDepot.open({ folder, ...options }),
    reopen: () => ImageDepot.open({ folder, ...options }),
  }
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

const DAY_MS = 24 * 60 * 60_000
/** Files are of now: what is looked at is tomorrow. */
const tomorrow = { ...systemClock, nowMs: () => Date.now() + 2 * DAY_MS }

async function bring(depot: ImageDepot, app: string, blobs = [config, layer], text = manifest) {
  for (const blob of blobs) await depot.receive(pieceOf(app, blob, 0))
  return await depot.accept(app, text)
}

test('an image that goes takes along what no other image needs', async (t) => {
  const { depot, reopen } = await depotIn(t, { clock: tomorrow })
  const digest = await bring(depot, 'web')
  const small = Buffer.from(JSON.stringify({ ...JSON.parse(String(manifest)), layers: [] }))
  const other = await bring(depot, 'tern', [config], small)
  assert.deepEqual(
    (await depot.images()).map(({ app, digest: one, bytes }) => [app, one, bytes]).sort(),
    [
      ['tern', other, small.length + config.length],
      ['web', digest, manifest.length + config.length + layer.length],
    ],
  )
  await depot.receive(pieceOf('tern', layer, 0, 10)) // and nobody goes on with it
  depot.chooseBy(async (images) => images.filter(({ app }) => app === 'web'))
  assert.deepEqual(
    (await depot.tidy()).map(({ app }) => app),
    ['web'],
  )
  assert.equal(await depot.manifest('web', digest), undefined)
  assert.equal(await depot.blob(digestOf(layer)), undefined)
  assert.notEqual(await depot.blob(digestOf(config)), undefined)
  assert.deepEqual(await depot.images('web'), [])
  const again = await reopen()
  assert.deepEqual(await again.received('tern', digestOf(layer)), { have: 0, isComplete: false })
  assert.equal(await bring(again, 'web'), digest, 'it may come again')
})

test('what is new stays: blobs whose manifest is on its way, and uploads that go on', async (t) => {
  const { depot } = await depotIn(t)
  await depot.receive(pieceOf('web', config, 0))
  await depot.receive(pieceOf('web', layer, 0, 60_000))
  await depot.tidy()
  assert.equal((await depot.received('web', digestOf(layer))).have, 60_000)
  await depot.receive(pieceOf('web', layer, 60_000))
  const digest = await depot.accept('web', manifest)
  await depot.tidy()
  assert.notEqual(await depot.manifest('web', digest), undefined)
})

test('a depot that is full makes room, or refuses', async (t) => {
  const { depot } = await depotIn(t, { bytesMax: 150_000, clock: tomorrow })
  const digest = await bring(depot, 'web')
  const next = pieceOf('tern', Buffer.alloc(100_000, 'next'), 0)
  await assert.rejects(depot.receive(next), { code: 'flaps.unprocessable' })
  assert.notEqual(await depot.manifest('web', digest), undefined, 'nothing was chosen')
  depot.chooseBy(async (images, bytesWanted) => {
    assert.ok(bytesWanted > 50_000 && bytesWanted < 51_000, `${bytesWanted}`)
    return images
  })
  assert.equal((await depot.receive(next)).isComplete, true)
  assert.deepEqual(await depot.images(), [])
})

test('an app’s images are listed and deleted over the API, but for those that are used', async (t) => {
  await using world = await FlapsWorld.open()
  const { depot } = await depotIn(t)
  const server = buildServer({ services: world.newServices(), endpoints: [], log, depot })
  t.after(() => server.close())
  const call = async (method: 'GET' | 'DELETE', path: string, token = world.orgToken()) => {
    const headers = { authorization: token }
    const reply = await server.inject({ method, url: `/v1/apps/heron/images${path}`, headers })
    return { status: reply.statusCode, body: JSON.parse(reply.body) }
  }
  const digest = await bring(depot, 'heron')
  const small = Buffer.from(JSON.stringify({ ...JSON.parse(String(manifest)), layers: [] }))
  const released = await bring(depot, 'heron', [config], small)
  await bring(depot, 'tern')
  const image = (of: string) => `images.internal/heron@${of}`
  const { id } = await world.newMachine({ config: { image: image(digest) } })
  const heron = await world.directory.app('heron')
  const by = { who: 'test', requestId: '1', signal: new AbortController().signal }
  const { releases } = world.directory
  const release = { image: image(released), strategy: 'rolling', definition: {} }
  const made = await releases.create(heron as App, release, by)
  await releases.update(heron as App, made.id, { status: 'complete', error: '' }, by)

  const users = async () => {
    const { images } = (await call('GET', '')).body
    return images.map((one: { image: string; used_by: string }) => [one.image, one.used_by]).sort()
  }
  assert.deepEqual(
    await users(),
    [
      [image(digest), `machine ${id}`],
      [image(released), 'release v1'],
    ].sort(),
  )
  for (const one of [digest, released]) {
    const { status, body } = await call('DELETE', `/${one}`)
    assert.deepEqual([status, /uses this image/.test(body.error)], [412, true])
  }
  await world.call('DELETE', `/apps/heron/machines/${id}?force=true`)
  const isFree = async () => JSON.stringify(await users()).includes('null')
  await pollUntil('its end', isFree, { deadlineMs: 20_000 })
  const reader = world.orgToken({ type: 'Action', body: Action.read })
  assert.equal((await call('GET', '', reader)).status, 200)
  assert.equal((await call('DELETE', `/${digest}`, reader)).status, 403)
  assert.equal((await call('DELETE', `/${digest}`)).status, 200)
  assert.equal((await call('DELETE', `/${digest}`)).status, 404)
  assert.deepEqual(await users(), [[image(released), 'release v1']])
  assert.equal((await depot.images('tern')).length, 1)
  const own = await chooseImages(world.newServices())(await depot.images(), 1)
  assert.deepEqual(own, [], 'what is new stays')
})

test('what is no manifest of one image, or lacks blobs, is refused', async (t) => {
  const { depot } = await depotIn(t)
  for (const bytes of ['', '{}', '[]', '{"manifests":[]}', manifest.toString()]) {
    await assert.rejects(depot.accept('web', Buffer.from(bytes)), { code: 'flaps.argument_bad' })
  }
})
