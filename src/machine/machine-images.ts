import { join } from 'node:path'
import type { MachineId } from '#base'
import {
  BaseImages,
  BlobStore,
  type Digest,
  findImage,
  type ImageConfig,
  ImageError,
  importImage,
  type OnProgress,
  type PulledImage,
  parseImageConfig,
  pullImage,
  RegistryClient,
  type RegistryOptions,
  type UserFiles,
} from '#image'

export interface MachineImagesOptions {
  /** Its own folder, for blobs and bases. One process at a time. */
  readonly folder: string
  /** Bytes of blobs, and of bases, that `collect` leaves. */
  readonly bytesMax: number
  readonly registry?: RegistryOptions
}

/** Where an image comes from: a registry, an archive of this host, or what an earlier call has brought. */
export type ImageSourceName =
  | { readonly kind: 'registry'; readonly reference: string }
  | { readonly kind: 'archive'; readonly path: string; readonly name?: string }
  | { readonly kind: 'cached'; readonly digest: Digest }

export interface PrepareOptions {
  readonly signal?: AbortSignal | undefined
  /** Of the blobs; then of the layers, unless the base is there. */
  readonly onPull?: OnProgress | undefined
  readonly onUnpack?: OnProgress | undefined
}

/** All that is needed of an image to make machines of it; kept from `collect` until disposed of. */
export interface PreparedImage extends Disposable {
  /** Of the platform's manifest. */
  readonly digest: Digest
  readonly config: ImageConfig
  readonly userFiles: UserFiles
  /** An ext4 file system in a read-only file. */
  readonly basePath: string
  /** Manifest, config and layers. */
  readonly blobs: readonly Digest[]
}

/** Images of this host, from any source to the base that roots are cloned from. */
export class MachineImages {
  readonly #store: BlobStore
  readonly #bases: BaseImages
  readonly #client: RegistryClient

  private constructor(store: BlobStore, bases: BaseImages, client: RegistryClient) {
    this.#store = store
    this.#bases = bases
    this.#client = client
  }

  /** Cleans up after a process that died. */
  static async open({ folder, bytesMax, registry }: MachineImagesOptions): Promise<MachineImages> {
    const store = await BlobStore.open({ folder: join(folder, 'blobs'), bytesMax })
    const bases = await BaseImages.open({ folder: join(folder, 'roots'), store, bytesMax })
    return new MachineImages(store, bases, new RegistryClient(registry))
  }

  /**
   * Pulls what is missing, and makes the base when it is not there.
   *
   * @throws ImageError, or the signal's reason. What was downloaded stays for the next attempt.
   */
  async prepare(source: ImageSourceName, options: PrepareOptions = {}): Promise<PreparedImage> {
    const { signal, onUnpack } = options
    using image = await this.#bring(source, options)
    const config = parseImageConfig(image.configBytes)
    const base = await this.#bases.ensure(image, { signal, onProgress: onUnpack })
    return {
      ...{ digest: image.digest, config, userFiles: base.userFiles, basePath: base.path },
      blobs: blobsOf(image),
      [Symbol.dispose]: () => base[Symbol.dispose](),
    }
  }

  /** Keeps an image from `collect`, over restarts, for a machine that may be started again. */
  async keep(machine: MachineId, { blobs }: Pick<PreparedImage, 'blobs'>): Promise<void> {
    await this.#store.pin(machine, blobs)
  }

  async letGo(machine: MachineId): Promise<void> {
    await this.#store.unpin(machine)
  }

  /** Removes the longest unused blobs and bases beyond the limit. @returns bytes freed. */
  async collect(): Promise<number> {
    return (await this.#bases.collect()) + (await this.#store.collect())
  }

  async #bring(source: ImageSourceName, { signal, onPull }: PrepareOptions): Promise<PulledImage> {
    const options = { signal, onProgress: onPull }
    if (source.kind === 'registry') {
      return await pullImage(this.#client, this.#store, source.reference, options)
    }
    if (source.kind === 'cached') {
      const found = await findImage(this.#store, source.digest, signal)
      if (found !== undefined) return found
      throw new ImageError('image.not_found', {
        what: 'the image is not in the cache any more',
        values: { digest: source.digest },
        fix: 'pull it again',
      })
    }
    const name = source.name === undefined ? {} : { name: source.name }
    return await importImage(this.#store, source.path, { ...options, ...name })
  }
}

const blobsOf = ({ digest, manifest: { config, layers } }: PulledImage): Digest[] => [
  digest,
  config.digest,
  ...layers.map((layer) => layer.digest),
]
