import assert from 'node:assert/strict'
import test from 'node:test'
import { type Digest, digestOf } from '#image'
import { IMAGE_FRESH_MS, imagesToGo } from './choose-images.ts'
import type { KeptImage } from './image-depot.ts'

const NOW = 1_800_000_000_000
const OLD = NOW - 10 * IMAGE_FRESH_MS

const image = (app: string, name: string, keptAtMs = OLD, bytes = 10): KeptImage => ({
  ...{ app, digest: digestOf(name), blobs: [], bytes, keptAtMs },
})

/** App web, made before all of its images, of which these are used. */
const around = (used: readonly Digest[], bytesWanted = 0, createdAtMs = OLD) => ({
  ...{ nowMs: NOW, bytesWanted },
  ownerOf: (app: string) =>
    app === 'web'
      ? { createdAtMs, uses: ({ digest }: KeptImage) => used.includes(digest) }
      : undefined,
})

test('images of an app that is gone go, and those of an older app of the same name', () => {
  const [gone, kept] = [image('gone', 'a'), image('web', 'b')]
  assert.deepEqual(imagesToGo([gone, kept], around([])), [gone])
  assert.deepEqual(imagesToGo([gone, kept], around([], 0, NOW)), [gone, kept])
  assert.deepEqual(imagesToGo([kept], around([kept.digest], 0, NOW)), [], 'but a machine has it')
})

test('where room is wanted the oldest go that nothing uses, and no more than is wanted', () => {
  const images = [1, 2, 3, 4].map((age) => image('web', `${age}`, OLD + age))
  const [first, second, third, last] = images as [KeptImage, KeptImage, KeptImage, KeptImage]
  assert.deepEqual(imagesToGo([last, third, second, first], around([], 11)), [first, second])
  assert.deepEqual(imagesToGo(images, around([first.digest], 10)), [second])
  const all = images.map(({ digest }) => digest)
  assert.deepEqual(imagesToGo(images, around(all, 1_000)), [])
  const fresh = image('web', 'new', NOW - 1)
  assert.deepEqual(imagesToGo([fresh], around([], 1_000)), [], 'a deploy is on its way')
})
