import { mkdir, rm, statfs } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { type Accelerator, openRuntime, type Runtime, type RuntimeKind } from '#guest'
import { MachineDisks, MachineImages } from '#machine'
import { MachineRoots, PoolLock, ReflinkDriver, VolumeError } from '#volume'
import { LocalError } from './errors.ts'
import { type LocalFolders, localFolders } from './local-folders.ts'
import { type LocalRecord, MachineRecords } from './machine-record.ts'
import type { LocalNetworks } from './network/local-network.ts'
import { NatNetworks } from './network/nat-networks.ts'

const LOCK_WAIT_MS = 60_000
/** As long as another process may pull and unpack a large image. */
const IMAGES_WAIT_MS = 1_800_000
const POOL_BYTES_MAX = 64 * 2 ** 30
const POOL_BYTES_MIN = 2 ** 30
const POOL_SHARE = 0.8
const IMAGES_BYTES_MAX = 20 * 2 ** 30

type RuntimeOfMachine = Pick<LocalRecord, 'runtime' | 'accelerator'>

/** What local machines are made with and of on this host; each part is opened when first used. */
export class LocalHost {
  readonly folders: LocalFolders
  readonly records: MachineRecords
  readonly #lock: PoolLock
  readonly #imagesLock: PoolLock
  #driver: Promise<ReflinkDriver> | undefined
  readonly #runtimes = new Map<`${RuntimeKind} ${Accelerator}`, Promise<Runtime>>()

  private constructor(root: string) {
    this.folders = localFolders(root)
    this.records = new MachineRecords(this.folders.machines)
    this.#lock = new PoolLock(this.folders.lock, LOCK_WAIT_MS)
    this.#imagesLock = new PoolLock(this.folders.imagesLock, IMAGES_WAIT_MS)
  }

  /** @throws LocalError local.root_needed */
  static async open(root: string): Promise<LocalHost> {
    if (userInfo().uid !== 0) {
      throw new LocalError('local.root_needed', {
        what: 'only root may run machines on this computer',
        fix: 'sudo godwit ...',
      })
    }
    await mkdir(root, { recursive: true, mode: 0o700 })
    return new LocalHost(root)
  }

  /** For whoever changes a record: one process at a time. @throws LocalError local.busy */
  async change<T>(work: () => Promise<T> | T): Promise<T> {
    return await holdLock(this.#lock, async () => await work(), 'machines')
  }

  /** The runtime of a machine. */
  runtime({ runtime: kind, accelerator = 'tcg' }: RuntimeOfMachine): Promise<Runtime> {
    const key = `${kind} ${accelerator}` as const
    const open = this.#runtimes.get(key) ?? openRuntime(kind, this.folders.guests, { accelerator })
    this.#runtimes.set(key, open)
    return open
  }

  networks(kind: RuntimeKind): LocalNetworks {
    return new NatNetworks(kind)
  }

  driver(): Promise<ReflinkDriver> {
    this.#driver ??= this.#openDriver()
    return this.#driver
  }

  /** Roots and images lie in the pool itself: what is made of them there shares their blocks. */
  async disks(): Promise<{ disks: MachineDisks; roots: MachineRoots }> {
    const driver = await this.driver()
    const folder = join(driver.sharedFolder, 'roots')
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const roots = await MachineRoots.open({ driver, folder })
    return { disks: new MachineDisks({ driver, roots }), roots }
  }

  /** The host's images, for `work` alone. @throws LocalError local.busy */
  async withImages<T>(
    work: (images: MachineImages) => Promise<T>,
    { signal, onWait }: { signal?: AbortSignal | undefined; onWait?: () => void } = {},
  ): Promise<T> {
    const driver = await this.driver()
    const folder = join(driver.sharedFolder, 'images')
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const hint = onWait === undefined ? undefined : setTimeout(onWait, 500)
    try {
      return await holdLock(
        this.#imagesLock,
        async () => {
          clearTimeout(hint)
          return await work(await MachineImages.open({ folder, bytesMax: IMAGES_BYTES_MAX }))
        },
        'images',
        signal,
      )
    } finally {
      clearTimeout(hint)
    }
  }

  /** Removes the pool with all that is in it, and the folder. Nothing may run. */
  async purge(): Promise<void> {
    await (await this.driver()).unmount()
    this.#driver = undefined
    await rm(this.folders.root, { recursive: true, force: true })
  }

  async #openDriver(): Promise<ReflinkDriver> {
    await mkdir(this.folders.pool, { recursive: true, mode: 0o700 })
    const { bavail, bsize } = await statfs(this.folders.pool)
    const roomBytes = Math.floor(bavail * bsize * POOL_SHARE)
    const poolBytes = Math.max(POOL_BYTES_MIN, Math.min(POOL_BYTES_MAX, roomBytes))
    return await ReflinkDriver.open({ folder: this.folders.pool, poolBytes })
  }
}

async function holdLock<T>(
  lock: PoolLock,
  work: () => Promise<T>,
  what: 'machines' | 'images',
  signal?: AbortSignal,
): Promise<T> {
  let isHeld = false
  try {
    return await lock.hold(async () => {
      isHeld = true
      return await work()
    }, signal)
  } catch (cause) {
    const isBusy = cause instanceof VolumeError && cause.code === 'volume.pool_busy'
    if (isHeld || !isBusy) throw cause
    throw new LocalError('local.busy', {
      what: `another godwit is at the ${what} for too long`,
      fix: 'wait for it to end, then try again',
      cause,
    })
  }
}
