import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { seededRandom } from '#base'
import { BlobStore } from './blob-store.ts'
import { type Digest, digestOf, fileNameOf } from './digest.ts'
import { type Answer, startFaultRegistry } from './fault-registry.ts'
import { pullImage } from './pull.ts'
import { RegistryClient, type RegistryOptions } from './registry-client.ts'

const LAYER = Buffer.from(seededRandom(1).bytes(300_000))
const TYPE = 'application/vnd.oci.image.manifest.v1+json'
const FAST = { backoff: { baseMs: 1, capMs: 2 }, stallMs: 400 }

type Script = Parameters<typeof startFaultRegistry>[0]

async function world(t: TestContext, script: Script, options: RegistryOptions = {}) {
  const registry = await startFaultRegistry(script)
  const folder = mkdtempSync(join(tmpdir(), 'godwit-image-'))
  t.after(async () => {
    await registry[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })
  const store = await BlobStore.open({ folder, bytesMax: 10 << 20 })
  const client = new RegistryClient({ ...FAST, ...options })
  const layer = {
    mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
    ...registry.putBlob('app', LAYER),
  }
  const config = {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    ...registry.putBlob('app', Buffer.from('{}')),
  }
  const digest = registry.putManifest('app', 'v1', {
    mediaType: TYPE,
    schemaVersion: 2,
    config,
    layers: [layer],
  } as never)
  const pull = (signal?: AbortSignal) =>
    pullImage(client, store, `${registry.host}/app:v1`, signal ? { signal } : {})
  return { registry, store, folder, pull, layer, digest }
}

const isLayer = (path: string) => path.endsWith(`/blobs/${digestOf(LAYER)}`)
const status =
  (code: number, headers = {}): Answer =>
  (_, response) =>
    void response.writeHead(code, headers).end()
const bytes =
  (body: Buffer): Answer =>
  (_, response) =>
    void response.end(body)
const dieAfter =
  (count: number): Answer =>
  (_, response) => {
    response.writeHead(200, { 'content-length': LAYER.length })
    response.write(LAYER.subarray(0, count), () => response.destroy())
  }

async function assertWhole({ store }: { store: BlobStore }) {
  assert((await store.read(digestOf(LAYER)))?.equals(LAYER))
}

function assertNothingCached({ folder }: { folder: string }) {
  assert(!readdirSync(join(folder, 'blobs')).includes(fileNameOf(digestOf(LAYER))))
}

test('an image is pulled once, and a second pull asks for nothing but the tag', async (t) => {
  const one = await world(t, () => undefined)
  using pulled = await one.pull()
  assert.equal(pulled.digest, one.digest)
  await assertWhole(one)
  using _again = await one.pull()
  assert.equal(one.registry.requests.filter(({ path }) => isLayer(path)).length, 1)
})

test('pulls of one image at one time are one download', async (t) => {
  const one = await world(t, () => undefined)
  const pulls = await Promise.all([one.pull(), one.pull(), one.pull()])
  for (const pulled of pulls) pulled[Symbol.dispose]()
  assert.equal(one.registry.requests.filter(({ path }) => isLayer(path)).length, 1)
})

test('a registry that dies halfway is resumed where it died', async (t) => {
  const one = await world(t, (path, asked) =>
    isLayer(path) && asked === 0 ? dieAfter(100_000) : undefined,
  )
  using _pulled = await one.pull()
  await assertWhole(one)
  assert.match(
    one.registry.requests.filter(({ path }) => isLayer(path))[1]?.range ?? '',
    /^bytes=[1-9]\d*-299999$/,
  )
})

test('what a killed download left is resumed; what is corrupt in it is dropped', async (t) => {
  for (const left of [LAYER.subarray(0, 50_000), Buffer.alloc(50_000), Buffer.alloc(400_000)]) {
    const one = await world(t, () => undefined)
    writeFileSync(join(one.folder, 'ingest', fileNameOf(digestOf(LAYER))), left)
    using _pulled = await one.pull()
    await assertWhole(one)
    assert.deepEqual(readdirSync(join(one.folder, 'ingest')), [])
  }
})

for (const [fault, body, code] of [
  ['corrupt', Buffer.concat([LAYER.subarray(1), Buffer.from('x')]), 'image.digest_mismatch'],
  ['oversized', Buffer.concat([LAYER, Buffer.from('x')]), 'image.size_mismatch'],
  ['truncated', LAYER.subarray(0, 100), 'image.registry_failed'],
] as const) {
  test(`a ${fault} blob is ${code}, and the cache is not poisoned`, async (t) => {
    const one = await world(t, (path) => (isLayer(path) ? bytes(body) : undefined))
    await assert.rejects(one.pull(), { code })
    assertNothingCached(one)
  })
}

for (const [answer, code, tries] of [
  [401, 'image.unauthorized', 1],
  [403, 'image.forbidden', 1],
  [404, 'image.not_found', 1],
  [429, 'image.rate_limited', 4],
  [500, 'image.registry_failed', 4],
] as const) {
  test(`${answer} is ${code} after ${tries} tries`, async (t) => {
    const one = await world(t, () => status(answer))
    await assert.rejects(one.pull(), { code })
    assert.equal(one.registry.requests.length, tries)
  })
}

test('Retry-After is waited for', async (t) => {
  const waits: number[] = []
  const { systemClock } = await import('#base')
  const clock = { ...systemClock, sleep: async (ms: number) => void waits.push(ms) }
  const limit = status(429, { 'retry-after': '7' })
  const one = await world(t, (_, asked) => (asked === 0 ? limit : undefined), { clock })
  using _pulled = await one.pull()
  assert(waits.every((ms) => ms >= 7000) && waits.length >= 1)
})

test('a server that stops sending is given up as stalled', async (t) => {
  const hang: Answer = (_, response) => void response.writeHead(200).write(LAYER.subarray(0, 10))
  const one = await world(t, (path) => (isLayer(path) ? hang : undefined), {
    attemptsMax: 2,
    stallMs: 50,
  })
  await assert.rejects(one.pull(), { code: 'image.stalled' })
  assertNothingCached(one)
})

test('an aborted pull ends with the reason, and a later one succeeds', async (t) => {
  const stop = new AbortController()
  const hang: Answer = (_, response) => {
    response.writeHead(200).write(LAYER.subarray(0, 10))
    stop.abort(new Error('enough'))
  }
  const one = await world(t, (path, asked) => (isLayer(path) && asked === 0 ? hang : undefined))
  await assert.rejects(one.pull(stop.signal), /enough/)
  using _pulled = await one.pull()
  await assertWhole(one)
})

test('a bearer challenge is met with a token, and the token is kept for the next request', async (t) => {
  let issued = 0
  const one = await world(
    t,
    (path) => (request, response) => {
      if (path.startsWith('/token')) {
        assert.equal(
          request.headers.authorization,
          `Basic ${Buffer.from('me:secret').toString('base64')}`,
        )
        assert.match(path, /scope=repository%3Aapp%3Apull/)
        issued += 1
        return void response.end(JSON.stringify({ token: `t${issued}`, expires_in: 300 }))
      }
      // Each token is good for one request, whatever the server promised.
      if (request.headers.authorization === `Bearer t${issued}` && issued === 1)
        return void response.writeHead(404).end()
      const realm = `http://${request.headers.host}/token`
      return void response
        .writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="s"` })
        .end()
    },
    { credentials: () => ({ username: 'me', password: 'secret' }) },
  )
  await assert.rejects(one.pull(), { code: 'image.not_found' })
  await assert.rejects(one.pull(), { code: 'image.not_found' })
  assert.equal(issued, 1, 'the token is kept')
})

test('a redirect to another host does not carry the credentials there', async (t) => {
  const other = await startFaultRegistry(() => bytes(LAYER))
  t.after(() => other[Symbol.asyncDispose]())
  const redirect: Answer = (_, response) =>
    void response.writeHead(307, { location: `http://${other.host}/x` }).end()
  const challenge = status(401, { 'www-authenticate': 'Basic realm="r"' })
  const one = await world(
    t,
    (path, asked) =>
      asked === 0 && path.includes('/manifests/')
        ? challenge
        : isLayer(path)
          ? redirect
          : undefined,
    { credentials: () => ({ username: 'me', password: 'secret' }) },
  )
  using _pulled = await one.pull()
  assert(
    one.registry.requests.some(
      ({ path, authorization }) => isLayer(path) && authorization !== undefined,
    ),
  )
  assert.deepEqual(
    other.requests.map(({ authorization }) => authorization),
    [undefined],
  )
})

test('a mirror is asked first, and one that fails is passed over', async (t) => {
  const mirror = await startFaultRegistry((path) =>
    path.includes('/blobs/') ? status(404) : status(500),
  )
  t.after(() => mirror[Symbol.asyncDispose]())
  const one = await world(t, () => undefined, { mirrors: () => [mirror.host] })
  using _pulled = await one.pull()
  await assertWhole(one)
  assert(mirror.requests.length > 0)
})

test('plain HTTP beyond this machine is refused, also by a redirect', async (t) => {
  const away = status(307, { location: 'http://registry.example/x' })
  const one = await world(t, () => away)
  await assert.rejects(one.pull(), { code: 'image.insecure' })
})

test('collection removes the longest unused, and never what is pinned or in use', async (t) => {
  const { folder } = await world(t, () => undefined)
  const store = await BlobStore.open({ folder, bytesMax: 200 })
  const waits = new RegistryClient(FAST).waits
  const add = async (fill: number) => {
    const body = Buffer.alloc(100, fill)
    const source = async () => ({
      offset: 0,
      bytes: (async function* () {
        yield body
      })(),
    })
    const digest: Digest = digestOf(body)
    return { digest, held: await store.ensure({ mediaType: '', digest, size: 100 }, source, waits) }
  }
  const [pinned, used, idle, late] = [await add(1), await add(2), await add(3), await add(4)]
  await store.pin('machine-1', [pinned.digest])
  for (const { held } of [pinned, idle, late]) held[Symbol.dispose]()
  assert.equal(await store.collect(), 200)
  assert.notEqual(await store.find(pinned.digest), undefined)
  assert.notEqual(await store.find(used.digest), undefined)
  await add(5).then(({ held }) => held[Symbol.dispose]())
  await store.collect()
  await store.unpin('machine-1')
  used.held[Symbol.dispose]()
})
