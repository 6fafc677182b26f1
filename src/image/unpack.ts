import { createHash } from 'node:crypto'
import { createReadStream, lutimesSync, type ReadStream, statSync } from 'node:fs'
import { pipeline } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { applyLayer, newBudget, type UnpackBudget } from './apply-layer.ts'
import type { BlobStore } from './blob-store.ts'
import type { PulledImage } from './bring-image.ts'
import { checkDigest, type Digest } from './digest.ts'
import { ImageError } from './errors.ts'
import { parseImageConfig } from './image-config.ts'
import { type Compression, compressionOf, type Descriptor } from './manifest.ts'
import type { OnProgress } from './progress.ts'

export interface UnpackOptions {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

interface Layer {
  readonly descriptor: Pick<Descriptor, 'mediaType'>
  readonly path: string
  readonly diffId: Digest
}

/**
 * Unpacks an image's layers, in order, into the empty folder `root`, and proves each to be the one
 * that the image's config names.
 *
 * @param layers each with its blob's file, and its diff id: the digest of its uncompressed bytes.
 * @throws ImageError; `root` is then useless.
 */
export async function unpackLayers(
  root: string,
  layers: readonly Layer[],
  { signal, onProgress }: UnpackOptions = {},
): Promise<void> {
  lutimesSync(root, 0, 0)
  const budget = newBudget()
  const totalBytes = layers.reduce((sum, { path }) => sum + statSync(path).size, 0)
  let beforeBytes = 0
  for (const { descriptor, path, diffId } of layers) {
    const hash = createHash('sha256')
    const file = createReadStream(path, { highWaterMark: 1 << 18 })
    const tell = () => onProgress?.({ doneBytes: beforeBytes + file.bytesRead, totalBytes })
    const bytes = hashed(decompress(file, compressionOf(descriptor.mediaType)), hash, budget, tell)
    try {
      await applyLayer(root, shared(bytes), budget, signal)
      for await (const _rest of bytes) signal?.throwIfAborted() // what follows the archive's end is hashed as well
    } finally {
      await bytes.return()
    }
    checkDigest(diffId, `sha256:${hash.digest('hex')}`)
    beforeBytes += file.bytesRead
  }
}

/** Unpacks an image that is held in `store`, as `unpackLayers` does. @throws ImageError */
export async function unpackImage(
  image: PulledImage,
  store: BlobStore,
  root: string,
  options: UnpackOptions = {},
): Promise<void> {
  const { layers } = image.manifest
  const { diffIds } = parseImageConfig(image.configBytes)
  if (diffIds.length !== layers.length) {
    const values = { layers: layers.length, diffIds: diffIds.length }
    throw new ImageError('image.manifest_bad', { what: 'config and layers differ', values })
  }
  const found = layers.flatMap((descriptor, index) => {
    const diffId = diffIds[index]
    return diffId ? [{ descriptor, diffId, path: store.pathOf(descriptor.digest) }] : []
  })
  await unpackLayers(root, found, options)
}

/** The same bytes, not ended when their reader has seen the archive's end. */
function shared(bytes: AsyncGenerator<Uint8Array>): AsyncIterable<Uint8Array> {
  return { [Symbol.asyncIterator]: () => ({ next: () => bytes.next() }) }
}

/** Headers and padding count too: a stream of nothing but them is a bomb as well. */
async function* hashed(
  bytes: AsyncIterable<Uint8Array>,
  hash: ReturnType<typeof createHash>,
  budget: UnpackBudget,
  tell: () => void,
) {
  let left = 2 * budget.bytes + 1024 * budget.entries
  try {
    for await (const piece of bytes) {
      left -= piece.length
      if (left < 0) throw new ImageError('image.too_large', { what: 'a layer unpacks without end' })
      hash.update(piece)
      tell()
      yield piece
    }
  } catch (cause) {
    if (cause instanceof ImageError) throw cause
    throw new ImageError('image.archive_bad', { what: 'a layer cannot be decompressed', cause })
  }
}

function decompress(file: ReadStream, compression: Compression): AsyncIterable<Uint8Array> {
  if (compression === 'none') return file
  const unpacker =
    compression === 'gzip' ? createGunzip({ chunkSize: 1 << 18 }) : createZstdDecompress()
  pipeline(file, unpacker, () => undefined) // an error of either ends the other, and reaches its reader
  return unpacker
}
