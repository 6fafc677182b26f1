import assert from 'node:assert/strict'
import test from 'node:test'
import { type Digest, digestOf, ImageError, type ImageReference } from '#image'
import { registryImages } from './image-lookup.ts'

const TYPE = 'application/vnd.oci.image.manifest.v1+json'
const { signal } = new AbortController()

const descriptor = (size: number) => ({
  ...{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: digestOf(Buffer.of(1)) },
  size,
})
const manifest = Buffer.from(
  JSON.stringify({
    ...{ schemaVersion: 2, mediaType: TYPE, config: descriptor(100) },
    layers: [descriptor(2_000), descriptor(30_000)],
  }),
)
const index = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [descriptor(500)] }))

/** A registry with one answer; it remembers what it was asked. */
function registryWith(answer: Buffer | Error) {
  const asked: ImageReference[] = []
  const manifestOf = async (reference: ImageReference) => {
    asked.push(reference)
    if (answer instanceof Error) throw answer
    return { bytes: answer, digest: digestOf(answer), mediaType: undefined }
  }
  return { asked, images: registryImages(undefined, { manifest: manifestOf }) }
}

test('a reference is written out, with the digest and the size that its registry says', async () => {
  const { images, asked } = registryWith(manifest)
  assert.deepEqual(await images.find('heron', 'nginx', signal), {
    ...{ ref: 'docker.io/library/nginx:latest', digest: digestOf(manifest), bytes: 32_100 },
  })
  assert.equal(asked[0]?.registry, 'docker.io')
  const several = registryWith(index).images
  assert.equal((await several.find('heron', 'ghcr.io/a/b:1', signal))?.bytes, 0)
})

test('what nobody has or shows is not found, and neither is what is malformed', async () => {
  const gone = new ImageError('image.not_found', { what: 'gone' })
  assert.equal(await registryWith(gone).images.find('heron', 'nginx', signal), undefined)
  const { images } = registryWith(manifest)
  assert.equal(await images.find('heron', 'no image!', signal), undefined)
  const broken = registryWith(new TypeError('our own mistake')).images
  await assert.rejects(broken.find('heron', 'nginx', signal), /our own mistake/)
})

test('a registry of this computer is never asked', async () => {
  const { images, asked } = registryWith(manifest)
  for (const reference of ['127.0.0.1:9280/a:1', 'localhost:5000/a:1', '[::1]:4280/a:1']) {
    assert.equal(await images.find('heron', reference, signal), undefined)
  }
  assert.deepEqual(asked, [])
})

test('images from files are those that the app itself brought', async () => {
  const digest = digestOf(manifest)
  const depot = {
    manifest: async (app: string, asked: Digest) =>
      app === 'heron' && asked === digest ? { bytes: manifest, type: TYPE } : undefined,
  }
  const nobody = { manifest: () => Promise.reject(new Error('a registry was asked')) }
  const images = registryImages(depot, nobody)
  const reference = `images.internal/heron@${digest}`
  assert.deepEqual(await images.find('heron', reference, signal), {
    ...{ ref: reference, digest, bytes: 32_100 },
  })
  assert.equal(await images.find('tern', reference, signal), undefined)
  assert.equal(await images.find('heron', 'images.internal/heron:latest', signal), undefined)
})
