import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { ImageError } from './errors.ts'
import { ACCEPTED_TYPES, manifestFor, parseManifest } from './manifest.ts'
import { formatReference, isLoopback, parseReference } from './reference.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`

test('references are read as docker reads them', () => {
  for (const [text, full] of [
    ['busybox', 'docker.io/library/busybox:latest'],
    ['org/app:v1', 'docker.io/org/app:v1'],
    ['index.docker.io/app', 'docker.io/library/app:latest'],
    ['localhost/app', 'localhost/app:latest'],
    ['localhost:5000/a/b/c:T.g-1', 'localhost:5000/a/b/c:T.g-1'],
    ['[::1]:5000/app', '[::1]:5000/app:latest'],
    ['ghcr.io/o/a__b', 'ghcr.io/o/a__b:latest'],
    [`debian@${DIGEST}`, `docker.io/library/debian@${DIGEST}`],
    [`debian:12@${DIGEST}`, `docker.io/library/debian:12@${DIGEST}`],
  ] as const) {
    assert.equal(formatReference(parseReference(text)), full)
    assert.equal(formatReference(parseReference(full)), full)
  }
})

test('what is no reference is refused with a typed error', () => {
  const hostile = [
    '',
    ':',
    'a:',
    'A',
    'a//b',
    '../a',
    'a@sha256:1',
    'h.io:99999/a',
    'a b',
    '/a',
    'h..io/a',
  ]
  for (const text of [...hostile, 'x'.repeat(600)]) {
    assert.throws(() => parseReference(text), ImageError, text)
  }
})

test('any text gives a reference that reads back as itself, or an ImageError', () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[a-z.:/@-]{1,20}$/))
  fc.assert(
    fc.property(text, (one) => {
      try {
        const parsed = parseReference(one)
        assert.deepEqual(parseReference(formatReference(parsed)), parsed)
      } catch (error) {
        if (!(error instanceof ImageError)) throw error
      }
    }),
  )
})

test('loopback is only what never leaves the machine', () => {
  for (const host of ['localhost:5000', '127.0.0.1', '127.9.9.9:80', '[::1]:5000'])
    assert(isLoopback(host))
  for (const host of ['127.evil.org', 'localhost.evil.org', '10.0.0.1:5000', '1127.0.0.1']) {
    assert(!isLoopback(host), host)
  }
})

const descriptor = (architecture: string, variant?: string) => ({
  mediaType: ACCEPTED_TYPES[0],
  digest: DIGEST,
  size: variant === undefined ? 1 : 2,
  platform: { os: 'linux', architecture, ...(variant ? { variant } : {}) },
})
const bytes = (value: unknown) => Buffer.from(JSON.stringify(value))

test('an index gives the image of the platform asked for, or says what it has', () => {
  const manifests = [descriptor('arm', 'v6'), descriptor('amd64'), descriptor('arm', 'v7')]
  const index = parseManifest(bytes({ schemaVersion: 2, manifests }))
  assert(index.kind === 'index')
  assert.equal(manifestFor(index, { os: 'linux', architecture: 'amd64' }).size, 1)
  const v7 = manifestFor(index, { os: 'linux', architecture: 'arm', variant: 'v7' })
  assert.equal(v7.platform?.variant, 'v7')
  assert.throws(() => manifestFor(index, { os: 'linux', architecture: 's390x' }), {
    code: 'image.platform_missing',
    message: /linux\/amd64/,
  })
})

test('a document that is index and manifest at once, or neither, is refused', () => {
  const config = descriptor('amd64')
  for (const document of [
    { schemaVersion: 2, manifests: [], layers: [], config },
    { schemaVersion: 1, fsLayers: [] },
    { schemaVersion: 2, config, layers: [{ ...config, digest: 'sha256:../../etc' }] },
    { schemaVersion: 2, config, layers: [{ ...config, size: -1 }] },
    [],
  ]) {
    assert.throws(() => parseManifest(bytes(document)), { code: 'image.manifest_bad' })
  }
  const foreign = { schemaVersion: 2, mediaType: 'text/html', config, layers: [] }
  assert.throws(() => parseManifest(bytes(foreign)), { code: 'image.media_type_unknown' })
})
