import { mkdir, mkdtemp, readdir, readFile, rm, utimes } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { errorCode, publish, writeDurably } from '#base'
import type { BlobStore } from './blob-store.ts'
import type { PulledImage } from './bring-image.ts'
import { type Digest, fileNameOf } from './digest.ts'
import { ensureFolders } from './ensure-folders.ts'
import { evictOldest } from './evict.ts'
import { makeExt4Image } from './ext4-image.ts'
import { Holds } from './holds.ts'
import { readUserFiles, type UserFiles } from './image-user.ts'
import type { OnProgress } from './progress.ts'
import { SharedJobs } from './shared-jobs.ts'
import { unpackImage } from './unpack.ts'

export interface BaseImagesOptions {
  /** Its own folder: bases/, users/, work/. One process at a time. */
  readonly folder: string
  /** The images' blobs; its pins keep bases as well. */
  readonly store: BlobStore
  /** Allocated bytes of bases that `collect` leaves. */
  readonly bytesMax: number
}

/** An ext4 file system in a read-only file, kept from `collect` until disposed of. */
export interface BaseImage extends Disposable {
  readonly path: string
  /** Of the image, to find its users without mounting the base. */
  readonly userFiles: UserFiles
}

export interface EnsureBaseOptions {
  readonly signal?: AbortSignal | undefined
  /** Of the unpacking; not called when the base is there, or another caller makes it. */
  readonly onProgress?: OnProgress | undefined
}

/** Part of each name: raise it when the same image would give another file system. */
const FORMAT = 'v2'

/**
 * The root file systems that machines are cloned from, one for each image. A file in bases/ is whole
 * and synced; what a killed process leaves lies in work/, which `open` empties.
 */
export class BaseImages {
  readonly #bases: string
  /** For each base its image's passwd and group; there before the base is. */
  readonly #users: string
  readonly #work: string
  readonly #store: BlobStore
  readonly #bytesMax: number
  readonly #jobs = new SharedJobs<void>()
  readonly #holds = new Holds<string>()

  private constructor({ folder, store, bytesMax }: BaseImagesOptions) {
    this.#bases = join(folder, 'bases')
    this.#users = join(folder, 'users')
    this.#work = join(folder, 'work')
    this.#store = store
    this.#bytesMax = bytesMax
  }

  static async open(options: BaseImagesOptions): Promise<BaseImages> {
    const images = new BaseImages(options)
    await rm(images.#work, { recursive: true, force: true })
    await ensureFolders(images.#bases, images.#users, images.#work)
    return images
  }

  /**
   * The image's base, made when it is not here; counts as a use. Callers of one image share the work.
   *
   * @param image held by the caller until this ends.
   * @throws ImageError, or the signal's reason; nothing of the attempt is left then.
   */
  async ensure(
    image: PulledImage,
    { signal, onProgress }: EnsureBaseOptions = {},
  ): Promise<BaseImage> {
    const name = baseName(image.digest)
    const path = join(this.#bases, name)
    const held = this.#holds.hold(name)
    try {
      if (!(await touch(path))) {
        await this.#jobs.run(name, (stop) => this.#make(image, path, stop, onProgress), signal)
      }
      const userFiles = JSON.parse(await readFile(join(this.#users, name), 'utf8'))
      return { path, userFiles, [Symbol.dispose]: held[Symbol.dispose] }
    } catch (error) {
      held[Symbol.dispose]()
      throw error
    }
  }

  /** Removes the longest unused bases whose image is neither held nor pinned. @returns bytes freed. */
  async collect(): Promise<number> {
    const pinned = new Set([...(await this.#store.pinned())].map(baseName))
    const isKept = (name: string) => pinned.has(name) || this.#holds.has(name)
    const freed = await evictOldest(this.#bases, this.#bytesMax, isKept)
    const left = new Set(await readdir(this.#bases))
    for (const name of await readdir(this.#users)) {
      if (!left.has(name) && !isKept(name)) await rm(join(this.#users, name), { force: true })
    }
    return freed
  }

  async #make(
    image: PulledImage,
    path: string,
    signal: AbortSignal,
    onProgress?: OnProgress,
  ): Promise<void> {
    if (await touch(path)) return // made between the caller's look and its turn
    const folder = await mkdtemp(join(this.#work, 'base-'))
    try {
      const [root, made] = [join(folder, 'root'), join(folder, 'base')]
      await mkdir(root, { mode: 0o755 }) // images without an entry for `/` get this
      await unpackImage(image, this.#store, root, { signal, onProgress })
      await writeDurably(join(this.#users, basename(path)), JSON.stringify(readUserFiles(root)))
      await makeExt4Image(root, made, signal)
      await publish(made, path)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
}

const baseName = (digest: Digest) => `${fileNameOf(digest)}.${FORMAT}.ext4`

/** True when the file is there, which then counts as used now. */
async function touch(path: string): Promise<boolean> {
  const now = new Date()
  try {
    await utimes(path, now, now)
    return true
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  }
}
