import { startDeadline } from '#base'
import type { ImageDepot } from '#flaps'
import { IMAGES_REGISTRY } from '#flyd'
import {
  formatReference,
  ImageError,
  type ImageReference,
  isLoopback,
  parseManifest,
  parseReference,
  RegistryClient,
} from '#image'

export interface FoundImage {
  /** To be deployed: as it was asked for, with everything that names leave out. */
  readonly ref: string
  readonly digest: string
  /** Of its layers, packed; 0: of several platforms, which differ. */
  readonly bytes: number
}

/** Finds out what a reference means, before anything is deployed. */
export interface ImageLookup {
  /** Undefined: nobody has it, or nobody says so. */
  find(app: string, reference: string, signal: AbortSignal): Promise<FoundImage | undefined>
}

/** For all tries: the client waits meanwhile. */
const LOOKUP_MS_MAX = 15_000
const STALL_MS = 10_000
const ATTEMPTS_MAX = 2

/**
 * Asks the registry that a reference names, without credentials, or the images that clients brought from files. A
 * registry on this computer is never asked: what listens there is the operator's.
 */
export function registryImages(
  depot: Pick<ImageDepot, 'manifest'> | undefined,
  client: Pick<RegistryClient, 'manifest'> = new RegistryClient({
    ...{ stallMs: STALL_MS, attemptsMax: ATTEMPTS_MAX },
  }),
): ImageLookup {
  return {
    async find(app, text, signal) {
      using deadline = startDeadline('looking an image up', LOOKUP_MS_MAX, { signal })
      try {
        const reference = parseReference(text)
        const found =
          reference.registry === IMAGES_REGISTRY
            ? await inDepot(depot, app, reference)
            : await inRegistry(client, reference, deadline.signal)
        return found && { ...found, ref: formatReference(reference) }
      } catch (error) {
        signal.throwIfAborted()
        if (error instanceof ImageError || deadline.signal.aborted) return undefined
        throw error
      }
    },
  }
}

async function inDepot(
  depot: Pick<ImageDepot, 'manifest'> | undefined,
  app: string,
  { repository, digest }: ImageReference,
) {
  if (depot === undefined || digest === undefined || repository !== app) return undefined
  const manifest = await depot.manifest(app, digest)
  return manifest && { digest, bytes: bytesOf(manifest.bytes, manifest.type) }
}

async function inRegistry(
  client: Pick<RegistryClient, 'manifest'>,
  reference: ImageReference,
  signal: AbortSignal,
) {
  if (isLoopback(reference.registry)) return undefined
  const { bytes, digest, mediaType } = await client.manifest(reference, signal)
  return { digest, bytes: bytesOf(bytes, mediaType) }
}

function bytesOf(text: Uint8Array, mediaType: string | undefined): number {
  const manifest = parseManifest(text, mediaType)
  if (manifest.kind === 'index') return 0
  return manifest.layers.reduce((sum, { size }) => sum + size, manifest.config.size)
}
