import type { BlobStore } from './blob-store.ts'
import { bringImage, type ImageSource, type PulledImage, type PullOptions } from './bring-image.ts'
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
