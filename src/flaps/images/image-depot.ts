import { createReadStream } from 'node:fs'
import { mkdir, open, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode } from '#base'
import { BlobStore, type Digest, digestOf, ImageError, LOCAL_WAITS, parseManifest } from '#image'
import { refuse } from '../errors.ts'

/** How far an upload is. */
export interface Received {
  /** Bytes from the beginning on. */
  readonly have: number
  readonly isComplete: boolean
}

export interface Piece {
  readonly app: string
  readonly digest: Digest
  /** Of the whole blob. */
  readonly size: number
  readonly offset: number
  readonly bytes: Buffer
}

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
const BLOB_BYTES_MAX = 8 * 2 ** 30

/**
 * Images that clients brought here from files, for hosts to pull. A blob comes in pieces, in order, and is proven
 * before it counts. An image belongs to one app: an app cannot name what another one brought.
 */
export class ImageDepot {
  readonly #store: BlobStore
  readonly #uploads: string
  readonly #busy = new Set<string>()

  private constructor(store: BlobStore, uploads: string) {
    this.#store = store
    this.#uploads = uploads
  }

  /** Whole again after a kill at any moment: what an upload had stays for its next piece. */
  static async open(folder: string): Promise<ImageDepot> {
    const uploads = join(folder, 'uploads')
    await mkdir(uploads, { recursive: true, mode: 0o700 })
    const store = await BlobStore.open({ folder: join(folder, 'store'), bytesMax: BLOB_BYTES_MAX })
    return new ImageDepot(store, uploads)
  }

  /** How far this app's upload of a blob is. Never tells whether another app brought it. */
  async received(app: string, digest: Digest): Promise<Received> {
    const have = await sizeOf(this.#upload(app, digest))
    const isComplete = (await sizeOf(`${this.#upload(app, digest)}.done`)) !== undefined
    return { have: have ?? 0, isComplete }
  }

  /**
   * Takes the next piece. @throws FlapsError flaps.conflict: it is not the next one, or another is under way;
   * flaps.argument_bad: the bytes are not what the digest says
   */
  async receive({ app, digest, size, offset, bytes }: Piece): Promise<Received> {
    if (size > BLOB_BYTES_MAX)
      throw refuse('flaps.argument_bad', 'invalid_argument: blob too large')
    const path = this.#upload(app, digest)
    if (this.#busy.has(path)) throw refuse('flaps.conflict', 'aborted: this blob is being uploaded')
    this.#busy.add(path)
    try {
      const { have, isComplete } = await this.received(app, digest)
      if (isComplete) return { have: size, isComplete }
      if (offset !== have) throw refuse('flaps.conflict', `aborted: the next byte is ${have}`)
      const file = await open(path, 'a', 0o600)
      try {
        await file.appendFile(bytes)
      } finally {
        await file.close()
      }
      if (have + bytes.length < size) return { have: have + bytes.length, isComplete: false }
      return await this.#complete(path, digest, size)
    } finally {
      this.#busy.delete(path)
    }
  }

  async #complete(path: string, digest: Digest, size: number): Promise<Received> {
    const source = async (offset: number) => ({
      offset,
      bytes: createReadStream(path, { start: offset }),
    })
    try {
      const descriptor = { mediaType: '', digest, size }
      using _held = await this.#store.ensure(descriptor, source, LOCAL_WAITS)
      const done = await open(`${path}.done`, 'w', 0o600)
      await done.close()
      return { have: size, isComplete: true }
    } catch (error) {
      if (!(error instanceof ImageError)) throw error
      throw refuse('flaps.argument_bad', `invalid_argument: ${error.what}`, error)
    } finally {
      await rm(path, { force: true })
    }
  }

  /**
   * Makes blobs that this app has brought an image of its. @returns its digest
   * @throws FlapsError flaps.argument_bad: no manifest, or of blobs that the app did not bring
   */
  async accept(app: string, manifestBytes: Buffer): Promise<Digest> {
    const digest = digestOf(manifestBytes)
    const blobs = blobsOf(manifestBytes)
    for (const blob of blobs) {
      if ((await this.received(app, blob)).isComplete) continue
      throw refuse('flaps.argument_bad', `invalid_argument: blob ${blob} was not uploaded`)
    }
    const source = async () => ({
      offset: 0,
      bytes: [manifestBytes] as unknown as AsyncIterable<Buffer>,
    })
    const descriptor = { mediaType: MANIFEST_TYPE, digest, size: manifestBytes.length }
    using _held = await this.#store.ensure(descriptor, source, LOCAL_WAITS)
    await this.#store.pin(pinOf(app, digest), [digest, ...blobs])
    return digest
  }

  /** A manifest of an app; undefined: it brought none such. */
  async manifest(
    app: string,
    digest: Digest,
  ): Promise<{ bytes: Buffer; type: string } | undefined> {
    if (!(await this.#store.isPinned(pinOf(app, digest)))) return undefined
    const bytes = await this.#store.read(digest)
    return bytes === undefined ? undefined : { bytes, type: typeOf(bytes) }
  }

  /** The file of a blob, for a host that has read the manifest which names it. */
  async blob(digest: Digest): Promise<{ path: string; size: number } | undefined> {
    const path = await this.#store.find(digest)
    return path === undefined ? undefined : { path, size: (await stat(path)).size }
  }

  #upload(app: string, digest: Digest): string {
    return join(this.#uploads, `${app}-${digest.replace(':', '-')}`)
  }
}

const pinOf = (app: string, digest: Digest) => `${app}-${digest.replace(':', '-').slice(0, 60)}`

function blobsOf(bytes: Buffer): Digest[] {
  try {
    const manifest = parseManifest(bytes)
    if (manifest.kind === 'manifest') {
      return [manifest.config.digest, ...manifest.layers.map((layer) => layer.digest)]
    }
  } catch (error) {
    if (!(error instanceof ImageError)) throw error
    throw refuse('flaps.argument_bad', `invalid_argument: ${error.what}`, error)
  }
  throw refuse('flaps.argument_bad', 'invalid_argument: not the manifest of one image')
}

/** What a registry says of it; manifests of Docker name themselves. */
function typeOf(bytes: Buffer): string {
  const { mediaType } = JSON.parse(bytes.toString()) as { mediaType?: unknown }
  return typeof mediaType === 'string' ? mediaType : MANIFEST_TYPE
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}
