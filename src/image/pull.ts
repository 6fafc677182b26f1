import type { BlobStore } from './blob-store.ts'
import { bringImage, type ImageSource, type PulledImage, type PullOptions } from './bring-image.ts'
import type { Digest } from './digest.ts'
import { ImageError } from './errors.ts'
import { LOCAL_WAITS } from './http-exchange.ts'
import { parseReference } from './reference.ts'
import type { RegistryClient } from './registry-client.ts'

/** Brings an image of a registry into the store. @throws ImageError */
export async function pullImage(
  client: RegistryClient,
  store: BlobStore,
  text: string,
  options: PullOptions = {},
): Promise<PulledImage> {
  const reference = parseReference(text)
  const source: ImageSource = {
    waits: client.waits,
    manifest: (digest, signal) =>
      client.manifest(digest === undefined ? reference : { ...reference, digest }, signal),
    blob: (descriptor, offset, round, signal) =>
      client.blob(reference, descriptor, { offset, skipHosts: round }, signal),
  }
  return await bringImage(source, store, options, reference.digest)
}

/**
 * An image that was brought before, by the digest of its manifest; asks nobody.
 *
 * @returns undefined when any part of it is gone.
 */
export async function findImage(
  store: BlobStore,
  digest: Digest,
  signal?: AbortSignal,
): Promise<PulledImage | undefined> {
  const isGone = () =>
    new ImageError('image.not_found', { what: 'not in the cache', values: { digest } })
  const source: ImageSource = {
    waits: LOCAL_WAITS,
    manifest: () => Promise.reject(isGone()),
    blob: () => Promise.reject(isGone()),
  }
  try {
    return await bringImage(source, store, { signal }, digest)
  } catch (error) {
    if (error instanceof ImageError && error.code === 'image.not_found') return undefined
    throw error
  }
}
