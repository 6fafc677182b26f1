import type { BlobStore } from './blob-store.ts'
import type { Digest } from './digest.ts'
import { ImageError } from './errors.ts'
import type { Waits } from './http-exchange.ts'
import {
  CONFIG_BYTES_MAX,
  compressionOf,
  type Descriptor,
  type Manifest,
  manifestFor,
  parseManifest,
} from './manifest.ts'
import { hostPlatform, type Platform } from './platform.ts'
import type { OnProgress, Progress } from './progress.ts'
import type { FetchedManifest } from './registry-client.ts'

/** An image whose every blob is in the store and held there until it is disposed of. */
export interface PulledImage extends Disposable {
  /** The digest of the platform's manifest: the image's identity on this host. */
  readonly digest: Digest
  readonly manifest: Manifest
  readonly configBytes: Buffer
}

export interface PullOptions {
  readonly platform?: Platform
  readonly signal?: AbortSignal | undefined
  /** Of the image's blobs. Those that are here already count as brought. */
  readonly onProgress?: OnProgress | undefined
}

/** Where an image comes from: a registry, or files. What it gives need not be proven. */
export interface ImageSource {
  readonly waits: Waits
  /** A manifest or index; without a digest the one that was asked for. */
  manifest(digest: Digest | undefined, signal?: AbortSignal): Promise<FetchedManifest>
  /** As BlobSource in blob-store.ts. */
  blob(
    descriptor: Descriptor,
    offset: number,
    round: number,
    signal: AbortSignal,
  ): Promise<{ offset: number; bytes: AsyncIterable<Uint8Array> }>
}

const PARALLEL_BLOBS = 3
const NESTING_MAX = 3
const IMAGE_BYTES_MAX = 8 * 2 ** 30

/** Brings an image into the store. Blobs that are there are not asked for again. @throws ImageError */
export async function bringImage(
  source: ImageSource,
  store: BlobStore,
  { platform = hostPlatform(), signal, onProgress }: PullOptions,
  asked?: Digest,
): Promise<PulledImage> {
  const { fetched, manifest } = await resolveManifest(source, store, platform, asked, signal)
  checkSizes(manifest)
  const held: Disposable[] = []
  try {
    held.push(await keepManifest(source, store, fetched, signal))
    held.push(...(await bringBlobs(source, store, manifest, { signal, onProgress })))
    const configBytes = await store.read(manifest.config.digest)
    if (configBytes === undefined) throw new Error('a held blob is gone')
    return { digest: fetched.digest, manifest, configBytes, [Symbol.dispose]: () => release(held) }
  } catch (error) {
    release(held)
    throw error
  }
}

async function resolveManifest(
  source: ImageSource,
  store: BlobStore,
  platform: Platform,
  asked?: Digest,
  signal?: AbortSignal,
) {
  let digest = asked
  for (let depth = 0; depth < NESTING_MAX; depth += 1) {
    const fetched = await cachedManifest(source, store, digest, signal)
    const parsed = parseManifest(fetched.bytes, fetched.mediaType)
    if (parsed.kind === 'manifest') return { fetched, manifest: parsed }
    digest = manifestFor(parsed, platform).digest
  }
  throw new ImageError('image.manifest_bad', {
    what: 'indexes are nested too deep',
    values: { depthMax: NESTING_MAX },
  })
}

/** A manifest by digest never changes: with the registry down, what is cached still starts. */
async function cachedManifest(
  source: ImageSource,
  store: BlobStore,
  digest: Digest | undefined,
  signal?: AbortSignal,
): Promise<FetchedManifest> {
  const bytes = digest === undefined ? undefined : await store.read(digest)
  if (digest === undefined || bytes === undefined) return await source.manifest(digest, signal)
  return { bytes, digest, mediaType: undefined }
}

function keepManifest(
  { waits }: ImageSource,
  store: BlobStore,
  { bytes, digest }: FetchedManifest,
  signal?: AbortSignal,
) {
  const descriptor = { mediaType: '', digest, size: bytes.length }
  return store.ensure(descriptor, async () => ({ offset: 0, bytes: once(bytes) }), waits, signal)
}

async function* once(bytes: Uint8Array) {
  yield bytes
}

/** A few at a time: more streams than that only share one line. The first failure ends the others. */
async function bringBlobs(
  source: ImageSource,
  store: BlobStore,
  manifest: Manifest,
  { signal, onProgress }: Pick<PullOptions, 'signal' | 'onProgress'>,
) {
  const queue = [
    ...new Map([manifest.config, ...manifest.layers].map((one) => [one.digest, one])).values(),
  ]
  const tally = onProgress === undefined ? undefined : new Tally(queue, onProgress)
  const held: Disposable[] = []
  const stop = new AbortController()
  const both = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const descriptor = next
      const open = async (offset: number, round: number, jobSignal: AbortSignal) => {
        const opened = await source.blob(descriptor, offset, round, jobSignal)
        return tally === undefined ? opened : tally.count(descriptor, opened)
      }
      held.push(await store.ensure(descriptor, open, source.waits, both))
      tally?.finish(descriptor)
    }
  }
  const results = await Promise.allSettled(
    Array.from({ length: PARALLEL_BLOBS }, () =>
      worker().catch((error) => {
        stop.abort(error)
        throw error
      }),
    ),
  )
  if (!results.some(({ status }) => status === 'rejected')) return held
  release(held)
  throw stop.signal.reason
}

/** Adds up what has arrived of each blob: a retry may begin a blob anew. Silent when nothing is downloaded. */
class Tally {
  readonly #totalBytes: number
  readonly #onProgress: (progress: Progress) => void
  readonly #doneBytes = new Map<Digest, number>()
  #isDownloading = false

  constructor(descriptors: readonly Descriptor[], onProgress: OnProgress) {
    this.#totalBytes = descriptors.reduce((sum, { size }) => sum + size, 0)
    this.#onProgress = onProgress
  }

  count({ digest }: Descriptor, opened: { offset: number; bytes: AsyncIterable<Uint8Array> }) {
    const tell = (done: number) => this.#tell(digest, done)
    this.#isDownloading = true
    const counted = async function* () {
      let done = opened.offset
      for await (const piece of opened.bytes) {
        done += piece.length
        tell(done)
        yield piece
      }
    }
    return { offset: opened.offset, bytes: counted() }
  }

  finish({ digest, size }: Descriptor): void {
    this.#tell(digest, size)
  }

  #tell(digest: Digest, done: number): void {
    this.#doneBytes.set(digest, done)
    if (!this.#isDownloading) return
    const doneBytes = this.#doneBytes.values().reduce((sum, bytes) => sum + bytes, 0)
    this.#onProgress({ doneBytes, totalBytes: this.#totalBytes })
  }
}

function checkSizes({ config, layers }: Manifest): void {
  for (const { mediaType } of layers) compressionOf(mediaType) // before a byte is downloaded
  const bytes = layers.reduce((sum, { size }) => sum + size, 0)
  if (config.size <= CONFIG_BYTES_MAX && bytes <= IMAGE_BYTES_MAX) return
  throw new ImageError('image.too_large', {
    what: 'the image is too large',
    values: {
      bytes,
      bytesMax: IMAGE_BYTES_MAX,
      configBytes: config.size,
      configBytesMax: CONFIG_BYTES_MAX,
    },
  })
}

const release = (held: readonly Disposable[]) => {
  for (const one of held) one[Symbol.dispose]()
}
