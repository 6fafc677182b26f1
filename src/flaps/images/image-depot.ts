import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, errorCode, systemClock } from '#base'
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

/** An image that hosts can pull from here. */
export interface KeptImage {
  readonly app: string
  readonly digest: Digest
  /** Its config and layers. */
  readonly blobs: readonly Digest[]
  /** Of all of it; layers that other images have, too, count in each. */
  readonly bytes: number
  /** When it was brought last; wall clock. */
  readonly keptAtMs: number
}

export interface ImageDepotOptions {
  readonly folder: string
  /** Of all images together. @default BYTES_MAX */
  readonly bytesMax?: number
  readonly clock?: Clock
}

/** Which images are to go. @param bytesWanted what is too much, with what is coming */
export type ChooseImages = (
  images: readonly KeptImage[],
  bytesWanted: number,
) => Promise<readonly KeptImage[]>

const BYTES_MAX = 20 * 2 ** 30
/** Of an upload to which nothing came, and of blobs of which no image was made. */
const UPLOAD_MS_MAX = 24 * 60 * 60_000
/** Hosts may be reading it, or the manifest that names it is on its way. */
const BLOB_FRESH_MS = 10 * 60_000
const UPLOAD_NAME = /^(.+)-(sha256|sha512)-([0-9a-f]+)(\.done)?$/
const PIN_NAME = /^(.+)-sha(?:256|512)-[0-9a-f]+$/
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
const BLOB_BYTES_MAX = 8 * 2 ** 30

/**
 * Images that clients brought here from files, for hosts to pull. A blob comes in pieces, in order, and is proven
 * before it counts. An image belongs to one app: an app cannot name what another one brought.
 */
export class ImageDepot {
  readonly #store: BlobStore
  readonly #uploads: string
  readonly #bytesMax: number
  readonly #clock: Clock
  readonly #busy = new Set<string>()
  #choose: ChooseImages = async () => []
  #tidying: Promise<unknown> = Promise.resolve()

  private constructor(store: BlobStore, uploads: string, options: ImageDepotOptions) {
    this.#store = store
    this.#uploads = uploads
    this.#bytesMax = options.bytesMax ?? BYTES_MAX
    this.#clock = options.clock ?? systemClock
  }

  /** Whole again after a kill at any moment: what an upload had stays for its next piece. */
  static async open(options: ImageDepotOptions): Promise<ImageDepot> {
    const { folder } = options
    const uploads = join(folder, 'uploads')
    await mkdir(uploads, { recursive: true, mode: 0o700 })
    const store = await BlobStore.open({ folder: join(folder, 'store'), bytesMax: BLOB_BYTES_MAX })
    return new ImageDepot(store, uploads, options)
  }

  /** From now on these go when they are in the way, or with `tidy`. */
  chooseBy(choose: ChooseImages): void {
    this.#choose = choose
  }

  /** How far this app's upload of a blob is. Never tells whether another app brought it. */
  async received(app: string, digest: Digest): Promise<Received> {
    const have = await sizeOf(this.#upload(app, digest))
    const isDone = (await sizeOf(`${this.#upload(app, digest)}.done`)) !== undefined
    return { have: have ?? 0, isComplete: isDone && (await this.#store.find(digest)) !== undefined }
  }

  /**
   * Takes the next piece. @throws FlapsError flaps.conflict: it is not the next one, or another is under way;
   * flaps.argument_bad: the bytes are not what the digest says; flaps.unprocessable: there is no room for it
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
      if (offset === 0) await this.#makeRoom(size)
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

  /** All of them, or those of an app; the newest first. */
  async images(app?: string): Promise<KeptImage[]> {
    const kept = (await this.#store.pins()).flatMap(
      ({ name, digests: [digest, ...blobs], setAtMs }) => {
        const owner = PIN_NAME.exec(name)?.[1]
        if (owner === undefined || digest === undefined) return []
        return app === undefined || owner === app
          ? [{ app: owner, digest, blobs, keptAtMs: setAtMs }]
          : []
      },
    )
    const all = await Promise.all(
      kept.map(async (one) => ({ ...one, bytes: await this.#bytesOf([one.digest, ...one.blobs]) })),
    )
    return all.sort((one, other) => other.keptAtMs - one.keptAtMs)
  }

  /** Hosts do not get it from here any more; what no other image needs of it is freed by `tidy`. May run twice. */
  async remove({ app, digest, blobs }: Pick<KeptImage, 'app' | 'digest' | 'blobs'>): Promise<void> {
    await this.#store.unpin(pinOf(app, digest))
    const needed = new Set((await this.images(app)).flatMap((image) => image.blobs))
    for (const blob of blobs) {
      if (!needed.has(blob)) await rm(`${this.#upload(app, blob)}.done`, { force: true })
    }
  }

  /**
   * Lets go what is chosen, uploads that nobody goes on with, and blobs that no image needs. One at a time.
   *
   * @param bytesComing for which there is to be room
   * @returns images that went
   */
  tidy(bytesComing = 0): Promise<readonly KeptImage[]> {
    const turn = this.#tidying.then(() => this.#tidy(bytesComing))
    this.#tidying = turn.catch(() => undefined) // who asked for it is told
    return turn
  }

  async #tidy(bytesComing: number): Promise<readonly KeptImage[]> {
    const excess = async () => (await this.#store.bytes()) + bytesComing - this.#bytesMax
    const going = await this.#choose(await this.images(), await excess())
    for (const image of going) await this.remove(image)
    const nowMs = this.#clock.nowMs()
    const brought = await this.#tidyUploads(nowMs - UPLOAD_MS_MAX)
    await this.#store.sweep(nowMs - BLOB_FRESH_MS, (digest) => brought.has(digest))
    return going
  }

  /** @returns blobs of which an image may still be made */
  async #tidyUploads(untouchedSinceMs: number): Promise<Set<Digest>> {
    const pinned = new Set(
      (await this.images()).flatMap(({ app, blobs }) => blobs.map((one) => `${app} ${one}`)),
    )
    const brought = new Set<Digest>()
    for (const name of await readdir(this.#uploads)) {
      const [, app, algorithm, hex, done] = UPLOAD_NAME.exec(name) ?? []
      const digest = `${algorithm}:${hex}` as Digest
      const path = join(this.#uploads, name)
      const { mtimeMs } = await stat(path)
      const isOver = mtimeMs < untouchedSinceMs && !pinned.has(`${app} ${digest}`)
      if (isOver && !this.#busy.has(path)) await rm(path, { force: true })
      else if (done !== undefined) brought.add(digest)
    }
    return brought
  }

  /** @throws FlapsError flaps.unprocessable */
  async #makeRoom(bytes: number): Promise<void> {
    const isThere = async () => (await this.#store.bytes()) + bytes <= this.#bytesMax
    if (await isThere()) return
    await this.tidy(bytes)
    if (await isThere()) return
    throw refuse(
      'flaps.unprocessable',
      'resource_exhausted: this gateway has no room for more images',
    )
  }

  async #bytesOf(digests: readonly Digest[]): Promise<number> {
    const sizes = await Promise.all(digests.map((one) => sizeOf(this.#store.pathOf(one))))
    return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0)
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
