import { createReadStream, existsSync, rmSync } from 'node:fs'
import { type FileHandle, open, readdir, readFile, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode, publish, writeDurably } from '#base'
import { checkDigest, type Digest, fileNameOf, hashFor } from './digest.ts'
import { ensureFolders } from './ensure-folders.ts'
import { ImageError } from './errors.ts'
import { evictOldest, filesByUse } from './evict.ts'
import { Holds } from './holds.ts'
import { isTransient, retryTransient, type Waits } from './http-exchange.ts'
import type { Descriptor } from './manifest.ts'
import { SharedJobs } from './shared-jobs.ts'

/** Opens a blob's bytes from `offset` on; gives where they really begin. `round` counts its calls. */
export type BlobSource = (
  offset: number,
  round: number,
  signal: AbortSignal,
) => Promise<{ offset: number; bytes: AsyncIterable<Uint8Array> }>

export interface BlobStoreOptions {
  /** The store's own folder: blobs/, ingest/, pins/. One process at a time. */
  readonly folder: string
  /** Bytes of blobs that `collect` leaves. */
  readonly bytesMax: number
}

/** Blobs that somebody needs, under the name of who does. */
export interface Pin {
  readonly name: string
  readonly digests: readonly Digest[]
  /** When it was last set; wall clock. */
  readonly setAtMs: number
}

const PIN_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/

/**
 * Blobs by their digest, on disk. A file in blobs/ is whole and proven: it was synced and hashed in
 * ingest/ before it was renamed. What a killed download leaves in ingest/ is resumed by the next one.
 */
export class BlobStore {
  readonly #blobs: string
  readonly #ingest: string
  readonly #pins: string
  readonly #bytesMax: number
  readonly #downloads = new SharedJobs<string>()
  readonly #holds = new Holds<Digest>()

  private constructor({ folder, bytesMax }: BlobStoreOptions) {
    this.#blobs = join(folder, 'blobs')
    this.#ingest = join(folder, 'ingest')
    this.#pins = join(folder, 'pins')
    this.#bytesMax = bytesMax
  }

  static async open(options: BlobStoreOptions): Promise<BlobStore> {
    const store = new BlobStore(options)
    await ensureFolders(store.#blobs, store.#ingest, store.#pins)
    return store
  }

  pathOf(digest: Digest): string {
    return join(this.#blobs, fileNameOf(digest))
  }

  /** The blob's file, if it is here; counts as a use. */
  async find(digest: Digest): Promise<string | undefined> {
    const path = this.pathOf(digest)
    try {
      const now = new Date()
      await utimes(path, now, now)
      return path
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined
      throw error
    }
  }

  async read(digest: Digest): Promise<Buffer | undefined> {
    const path = await this.find(digest)
    return path === undefined ? undefined : await readFile(path)
  }

  /**
   * The blob's file, downloaded when it is not here. Callers of one digest share one download, and
   * hold the blob against `collect` until they dispose.
   *
   * @throws ImageError, what `source` throws, or the signal's reason.
   */
  async ensure(descriptor: Descriptor, source: BlobSource, waits: Waits, signal?: AbortSignal) {
    const held = this.hold(descriptor.digest)
    try {
      const found = await this.find(descriptor.digest)
      const download = (stop: AbortSignal) => this.#download(descriptor, source, waits, stop)
      const path = found ?? (await this.#downloads.run(descriptor.digest, download, signal))
      return { path, [Symbol.dispose]: held[Symbol.dispose] }
    } catch (error) {
      held[Symbol.dispose]()
      throw error
    }
  }

  /** Keeps a blob from `collect` until disposed of. */
  hold(digest: Digest): Disposable {
    return this.#holds.hold(digest)
  }

  /** Keeps blobs from `collect` over restarts, under the name of who needs them. Replaces that pin. */
  async pin(name: string, digests: readonly Digest[]): Promise<void> {
    if (!PIN_NAME.test(name)) {
      throw new ImageError('image.config_bad', { what: 'not a name of a pin', values: { name } })
    }
    await writeDurably(join(this.#pins, name), JSON.stringify(digests))
  }

  async isPinned(name: string): Promise<boolean> {
    return PIN_NAME.test(name) && existsSync(join(this.#pins, name))
  }

  async unpin(name: string): Promise<void> {
    if (PIN_NAME.test(name)) await rm(join(this.#pins, name), { force: true })
  }

  /** Removes the longest unused blobs that nobody holds until the rest fits. @returns bytes freed. */
  async collect(): Promise<number> {
    const pinned = await this.pinned()
    return await evictOldest(this.#blobs, this.#bytesMax, (name) => {
      const digest = name.replace('-', ':') as Digest
      return pinned.has(digest) || this.#holds.has(digest)
    })
  }

  /**
   * Removes blobs that no pin names, nobody holds, `isKept` does not keep and nobody asked for since then, whatever room
   * there is. @returns bytes freed
   */
  async sweep(unusedSinceMs: number, isKept: (digest: Digest) => boolean): Promise<number> {
    const pinned = await this.pinned()
    let freed = 0
    for (const { name, bytes, mtimeMs } of await filesByUse(this.#blobs)) {
      const digest = name.replace('-', ':') as Digest
      const isNeeded = pinned.has(digest) || this.#holds.has(digest) || isKept(digest)
      if (isNeeded || mtimeMs > unusedSinceMs) continue
      rmSync(join(this.#blobs, name), { force: true })
      freed += bytes
    }
    return freed
  }

  /** Of all blobs, in bytes on the disk. */
  async bytes(): Promise<number> {
    const files = await filesByUse(this.#blobs)
    return files.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  async pins(): Promise<Pin[]> {
    const names = (await readdir(this.#pins)).filter((name) => !name.endsWith('.new'))
    return await Promise.all(
      names.map(async (name) => {
        const path = join(this.#pins, name)
        const digests: Digest[] = JSON.parse(await readFile(path, 'utf8'))
        return { name, digests, setAtMs: (await stat(path)).mtimeMs }
      }),
    )
  }

  /** What all pins together name. */
  async pinned(): Promise<Set<Digest>> {
    return new Set((await this.pins()).flatMap(({ digests }) => digests))
  }

  async #download(descriptor: Descriptor, source: BlobSource, waits: Waits, signal: AbortSignal) {
    const path = this.pathOf(descriptor.digest)
    const partial = join(this.#ingest, fileNameOf(descriptor.digest))
    let round = 0
    const once = async () => {
      round += 1
      const file = await open(partial, 'a+', 0o600)
      try {
        await fill(file, descriptor, (offset) => source(offset, round - 1, signal), signal)
        await file.sync()
      } catch (error) {
        // Bytes that are proven wrong are of no use to the next attempt; the rest are.
        if (!isResumable(error)) await rm(partial, { force: true })
        throw error
      } finally {
        await file.close()
      }
      await publish(partial, path)
      return path
    }
    return await retryTransient(once, waits, signal)
  }
}

const isResumable = (error: unknown) =>
  !(error instanceof ImageError) ||
  (isTransient(error) &&
    error.code !== 'image.digest_mismatch' &&
    error.code !== 'image.size_mismatch')

/** Brings `file` to the whole blob from what it has, or throws. */
async function fill(
  file: FileHandle,
  { digest, size }: Descriptor,
  source: (offset: number) => ReturnType<BlobSource>,
  signal: AbortSignal,
): Promise<void> {
  let have = (await file.stat()).size
  if (have > size) {
    await file.truncate(0)
    have = 0
  }
  let hash = hashFor(digest)
  if (have > 0) {
    const kept = createReadStream('', { fd: file, start: 0, end: have - 1, autoClose: false })
    for await (const piece of kept) hash.update(piece)
  }
  if (have < size || size === 0) {
    const { offset, bytes } = await source(have)
    if (offset !== have) {
      await file.truncate(0)
      hash = hashFor(digest)
      have = 0
    }
    for await (const piece of bytes) {
      signal.throwIfAborted()
      have += piece.length
      if (have > size) throw wrongSize(digest, size, 'more')
      hash.update(piece)
      await file.appendFile(piece)
    }
  }
  // Cut short is a broken connection in disguise: what is here is good as far as anybody knows.
  if (have < size) {
    throw new ImageError('image.registry_failed', {
      what: 'the blob ended early',
      values: { digest, size, got: have },
    })
  }
  checkDigest(digest, `${digest.split(':')[0]}:${hash.digest('hex')}`)
}

const wrongSize = (digest: Digest, size: number, got: string) =>
  new ImageError('image.size_mismatch', {
    what: 'the blob has another size than its descriptor says',
    values: { digest, size, got },
  })
