/**
 * Devices as files of a file system that shares blocks (XFS, btrfs), whose clones cost the same at any size.
 *
 *   lock                  held for every change, among all processes
 *   devices/ID/disk       the bytes
 *   devices/ID/record.json
 *   work/draft-*          not yet a device, or no device any more
 *
 * A device comes and goes by one rename of its folder.
 */
import {
  constants,
  copyFile,
  mkdir,
  readdir,
  readFile,
  rename,
  stat,
  statfs,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode, syncPath, writeDurably } from '#base'
import type {
  Attachment,
  AttachOptions,
  BlockDriver,
  CloneOptions,
  Device,
  DeviceUsage,
  PoolStats,
} from '../block-driver.ts'
import { type DeviceId, isDeviceId } from '../device-id.ts'
import { deviceSize } from '../device-size.ts'
import { DraftFolder } from '../draft-folder.ts'
import { assertUnheld, withHolder, withoutHolder } from '../holders.ts'
import { PoolLock } from '../pool-lock.ts'
import { assertExtendable, type Making, notFound, sameDevice } from '../same-device.ts'
import { canShare, copySparse, resizeFile, usageOf } from './device-file.ts'
import { type DeviceRecord, formatRecord, parseRecord } from './device-record.ts'
import { ensureLoopPool, releaseLoopPool } from './loop-pool.ts'
import { asVolumeError, foreign, full } from './pool-errors.ts'

export interface ReflinkOptions {
  /** The pool's own folder; made when it is missing. */
  readonly folder: string
  /** Where the folder's file system cannot share blocks: size of the XFS that is made in it; grows, never shrinks. */
  readonly poolBytes: number
  /** Makes such an XFS also where the folder could do without: that bounds the pool. @default false */
  readonly isBounded?: boolean
}

/** Kept free for what is under way: a file system that is quite full turns slow, then breaks its guests. */
const RESERVE_RATIO = 0.02
const RESERVE_BYTES_MAX = 2 ** 30

export class ReflinkDriver implements BlockDriver {
  readonly kind = 'reflink'
  /** A folder on the pool's file system, for files that are imported: that copies nothing then. */
  readonly sharedFolder: string
  readonly #devices: string
  readonly #work: string
  readonly #root: string
  readonly #folder: string
  readonly #lock: PoolLock

  private constructor(folder: string, root: string, lock: PoolLock) {
    this.#folder = folder
    this.#root = root
    this.#lock = lock
    this.#devices = join(root, 'devices')
    this.#work = join(root, 'work')
    this.sharedFolder = join(root, 'shared')
  }

  /** Makes, mounts or finds the pool, and cleans up after processes that died. @throws VolumeError */
  static async open(options: ReflinkOptions, signal?: AbortSignal): Promise<ReflinkDriver> {
    try {
      await mkdir(options.folder, { recursive: true, mode: 0o700 })
      const lock = new PoolLock(join(options.folder, 'lock'))
      return await lock.hold(() => ReflinkDriver.#open(options, lock, signal), signal)
    } catch (error) {
      throw asVolumeError(error, options.folder)
    }
  }

  static async #open(
    { folder, poolBytes, isBounded = false }: ReflinkOptions,
    lock: PoolLock,
    signal?: AbortSignal,
  ): Promise<ReflinkDriver> {
    const isDirect = !isBounded && (await canShare(folder))
    const root = isDirect ? folder : mountPointIn(folder)
    if (!isDirect) await ensureLoopPool(loopPoolIn(folder), poolBytes, signal)
    const driver = new ReflinkDriver(folder, root, lock)
    for (const path of [driver.#devices, driver.#work, driver.sharedFolder]) {
      await mkdir(path, { recursive: true, mode: 0o700 })
    }
    await DraftFolder.sweep(driver.#work)
    return driver
  }

  /** Unmounts a pool that `open` mounted; nothing may be in use. Without it the pool stays, for the next `open`. */
  async unmount(signal?: AbortSignal): Promise<void> {
    if (this.#root === this.#folder) return
    await this.#lock.hold(() => releaseLoopPool(loopPoolIn(this.#folder), signal), signal)
  }

  async create(id: DeviceId, sizeBytes: number, signal?: AbortSignal): Promise<Device> {
    const making = { made: 'empty', isReadOnly: false, sizeBytes: deviceSize(sizeBytes) } as const
    const fill = async (disk: string) => {
      await writeFile(disk, '', { mode: 0o600 })
      await resizeFile(disk, making.sizeBytes)
    }
    return await this.#make(id, making, fill, signal)
  }

  async importFile(id: DeviceId, path: string, signal?: AbortSignal): Promise<Device> {
    const fill = async (disk: string) => {
      const sizeBytes = deviceSize((await stat(path)).size)
      await copySparse(path, disk, signal)
      await resizeFile(disk, sizeBytes)
    }
    return await this.#make(id, { made: 'imported', isReadOnly: false }, fill, signal)
  }

  async clone(
    id: DeviceId,
    source: DeviceId,
    { readOnly: isReadOnly = false }: CloneOptions = {},
    signal?: AbortSignal,
  ): Promise<Device> {
    const fill = async (disk: string) => {
      try {
        await copyFile(this.#diskOf(source), disk, constants.COPYFILE_FICLONE_FORCE)
      } catch (error) {
        if (errorCode(error) === 'ENOENT') throw notFound(source)
        throw error
      }
    }
    return await this.#make(id, { made: 'cloned', origin: source, isReadOnly }, fill, signal)
  }

  async extend(id: DeviceId, sizeBytes: number, signal?: AbortSignal): Promise<Device> {
    const wantedBytes = deviceSize(sizeBytes)
    return await this.#change(signal, async () => {
      const device = await this.#get(id)
      assertExtendable(device, wantedBytes)
      if (device.sizeBytes === wantedBytes) return device
      await this.#assertRoom()
      await resizeFile(this.#diskOf(id), wantedBytes)
      return { ...device, sizeBytes: wantedBytes }
    })
  }

  async remove(id: DeviceId, signal?: AbortSignal): Promise<void> {
    await this.#change(signal, async () => {
      const device = await this.#find(id)
      if (device === undefined) return
      assertUnheld(device)
      const draft = await DraftFolder.make(this.#work)
      try {
        await rename(this.#folderOf(id), join(draft.path, 'removed'))
        await syncPath(this.#devices)
      } finally {
        await draft.drop()
      }
    })
  }

  async attach(id: DeviceId, options: AttachOptions, signal?: AbortSignal): Promise<Attachment> {
    return await this.#change(signal, async () => {
      const device = await this.#get(id)
      await this.#writeHolders(device, withHolder(device, options))
      return { path: this.#diskOf(id), isReadOnly: options.readOnly ?? false }
    })
  }

  async detach(id: DeviceId, holder: DeviceId, signal?: AbortSignal): Promise<void> {
    await this.#change(signal, async () => {
      const device = await this.#find(id)
      if (device !== undefined) await this.#writeHolders(device, withoutHolder(device, holder))
    })
  }

  async find(id: DeviceId, signal?: AbortSignal): Promise<Device | undefined> {
    return await this.#change(signal, () => this.#find(id))
  }

  async list(signal?: AbortSignal): Promise<readonly Device[]> {
    return await this.#change(signal, () => this.#list())
  }

  async listUsage(signal?: AbortSignal): Promise<readonly DeviceUsage[]> {
    return await this.#change(signal, async () => {
      const devices: DeviceUsage[] = []
      for (const device of await this.#list()) {
        devices.push({ ...device, ...(await usageOf(this.#diskOf(device.id))) })
      }
      return devices
    })
  }

  async stats(signal?: AbortSignal): Promise<PoolStats> {
    return await this.#change(signal, () => this.#stats())
  }

  /** One change at a time; errors of the file system become ours. */
  async #change<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    try {
      return await this.#lock.hold(work, signal)
    } catch (error) {
      throw asVolumeError(error, this.#root)
    }
  }

  /** `fill` makes the file `disk` while others go on; the device appears when all of it is on disk. */
  async #make(
    id: DeviceId,
    making: Making,
    fill: (disk: string) => Promise<void>,
    signal?: AbortSignal,
  ): Promise<Device> {
    let draft: DraftFolder | undefined
    try {
      const begun = await this.#change(signal, async () => {
        const there = await this.#find(id)
        if (there !== undefined) return sameDevice(there, making)
        await this.#assertRoom()
        return await DraftFolder.make(this.#work)
      })
      if (!(begun instanceof DraftFolder)) return begun
      draft = begun
      await this.#fill(draft.path, making, fill)
      signal?.throwIfAborted()
      return await this.#publish(id, making, draft.path, signal)
    } catch (error) {
      throw asVolumeError(error, this.#root)
    } finally {
      await draft?.drop()
    }
  }

  async #fill(folder: string, making: Making, fill: (disk: string) => Promise<void>) {
    const made = join(folder, 'device')
    await mkdir(made, { mode: 0o700 })
    await fill(join(made, 'disk'))
    await syncPath(join(made, 'disk'))
    const { origin, isReadOnly } = making
    const record: DeviceRecord = {
      ...{ version: 1, made: making.made, isReadOnly, holders: [] },
      ...(origin === undefined ? {} : { origin }),
    }
    await writeDurably(join(made, 'record.json'), formatRecord(record))
  }

  async #publish(id: DeviceId, making: Making, folder: string, signal?: AbortSignal) {
    return await this.#change(signal, async () => {
      const there = await this.#find(id)
      if (there !== undefined) return sameDevice(there, making)
      await rename(join(folder, 'device'), this.#folderOf(id))
      await syncPath(this.#devices)
      return await this.#get(id)
    })
  }

  async #writeHolders(device: Device, holders: Device['holders']): Promise<void> {
    if (JSON.stringify(holders) === JSON.stringify(device.holders)) return
    const path = join(this.#folderOf(device.id), 'record.json')
    const record = parseRecord(await readFile(path, 'utf8'), path)
    await writeDurably(path, formatRecord({ ...record, holders: [...holders] }))
  }

  async #get(id: DeviceId): Promise<Device> {
    const device = await this.#find(id)
    if (device === undefined) throw notFound(id)
    return device
  }

  async #find(id: DeviceId): Promise<Device | undefined> {
    const path = join(this.#folderOf(id), 'record.json')
    try {
      const { version: _, origin, ...record } = parseRecord(await readFile(path, 'utf8'), path)
      const { size: sizeBytes } = await stat(this.#diskOf(id))
      return { id, sizeBytes, ...record, ...(origin === undefined ? {} : { origin }) }
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined
      throw error
    }
  }

  async #list(): Promise<Device[]> {
    const devices: Device[] = []
    for (const name of (await readdir(this.#devices)).sort()) {
      const device = isDeviceId(name) ? await this.#find(name) : undefined
      if (device === undefined) throw foreign(join(this.#devices, name))
      devices.push(device)
    }
    return devices
  }

  async #stats(): Promise<PoolStats> {
    const own = await statfs(this.#root)
    const [totalBytes, freeBytes] = [own.blocks * own.bsize, own.bavail * own.bsize]
    if (this.#root === this.#folder) return { totalBytes, freeBytes }
    const host = await statfs(this.#folder) // the pool's file is sparse
    return { totalBytes, freeBytes: Math.min(freeBytes, host.bavail * host.bsize) }
  }

  async #assertRoom(): Promise<void> {
    const { totalBytes, freeBytes } = await this.#stats()
    const reserveBytes = Math.min(totalBytes * RESERVE_RATIO, RESERVE_BYTES_MAX)
    if (freeBytes < reserveBytes) throw full(this.#root, { freeBytes, reserveBytes })
  }

  #folderOf(id: DeviceId): string {
    return join(this.#devices, id)
  }

  #diskOf(id: DeviceId): string {
    return join(this.#devices, id, 'disk')
  }
}

const mountPointIn = (folder: string) => join(folder, 'pool')
const loopPoolIn = (folder: string) => ({
  file: join(folder, 'pool.xfs'),
  mountPoint: mountPointIn(folder),
})
