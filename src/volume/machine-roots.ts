/**
 * The root file system of each machine. An image's base is brought into the pool once for each size, grown
 * to it; every machine then gets a clone of that, in the same time whatever the size. A machine that never
 * writes uses the base itself, and with it the host's cache of it.
 */
import { createHash } from 'node:crypto'
import { mkdir, stat, truncate } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Attachment, BlockDriver } from './block-driver.ts'
import { type DeviceId, parseDeviceId } from './device-id.ts'
import { deviceSize } from './device-size.ts'
import { DraftFolder } from './draft-folder.ts'
import { VolumeError } from './errors.ts'
import { growExt4 } from './grow-ext4.ts'
import { PoolLock } from './pool-lock.ts'
import { runTool } from './run-tool.ts'

/** The most that a machine's root file system may have. Source: the platform's documented limit. */
export const ROOT_BYTES_MAX = 8 * 2 ** 30
const MAKING_WAIT_MS = 900_000
const ATTEMPTS_MAX = 3

/** An ext4 file system in a file whose name says what is in it: the same name, the same bytes. */
export interface RootBase {
  readonly path: string
}

export interface RootOptions {
  /** Rounded up; never less than the base has. @default ROOT_BYTES_MAX */
  readonly sizeBytes?: number
  /** The machine gets the base itself. @default false */
  readonly readOnly?: boolean
}

export interface MachineRootsOptions {
  readonly driver: BlockDriver
  /** For drafts of bases, in its own folder: within the `sharedFolder` of a ReflinkDriver nothing is copied. */
  readonly folder: string
}

export class MachineRoots {
  readonly #driver: BlockDriver
  readonly #drafts: string
  readonly #lock: PoolLock
  /** Held while a base is made: one at a time. */
  readonly #making: PoolLock

  private constructor({ driver, folder }: MachineRootsOptions) {
    this.#driver = driver
    this.#drafts = join(folder, 'drafts')
    this.#lock = new PoolLock(join(folder, 'lock'))
    this.#making = new PoolLock(join(folder, 'making.lock'), MAKING_WAIT_MS)
  }

  /** Cleans up after processes that died. */
  static async open(options: MachineRootsOptions, signal?: AbortSignal): Promise<MachineRoots> {
    const roots = new MachineRoots(options)
    await mkdir(roots.#drafts, { recursive: true, mode: 0o700 })
    await roots.#lock.hold(() => DraftFolder.sweep(roots.#drafts), signal)
    return roots
  }

  /**
   * The machine's root file system, made when it is not there; attached, until `remove`.
   *
   * @param base kept from eviction by the caller until this ends; not needed afterwards.
   * @throws VolumeError volume.too_large, volume.exists when the machine has one of another base or size
   */
  async ensure(
    machine: string,
    base: RootBase,
    options: RootOptions = {},
    signal?: AbortSignal,
  ): Promise<Attachment> {
    const holder = parseDeviceId(machine)
    const { readOnly = false } = options
    const sizeBytes = await rootSize(base, options)
    const source = baseId(base, sizeBytes)
    for (let attempt = 1; ; attempt += 1) {
      try {
        if (readOnly) {
          await this.#ensureBase(source, base, sizeBytes, signal)
          return await this.#driver.attach(source, { holder, readOnly }, signal)
        }
        return await this.#ensureClone(holder, source, base, sizeBytes, signal)
      } catch (error) {
        // Another process may have collected the base between our making it and our using it.
        const isGone = error instanceof VolumeError && error.code === 'volume.not_found'
        if (!isGone || attempt === ATTEMPTS_MAX) throw error
      }
    }
  }

  /** Removes it with all that the machine wrote. Runs twice, and without one. */
  async remove(machine: string, signal?: AbortSignal): Promise<void> {
    const holder = parseDeviceId(machine)
    const id = rootId(holder)
    await this.#driver.detach(id, holder, signal)
    await this.#driver.remove(id, signal)
    for (const device of await this.#driver.list(signal)) {
      const isReader = device.holders.some((one) => one.holder === holder)
      if (isReader && isBaseId(device.id)) await this.#driver.detach(device.id, holder, signal)
    }
  }

  /** Removes bases that no machine has or came from. @returns how many. */
  async collect(signal?: AbortSignal): Promise<number> {
    const devices = await this.#driver.list(signal)
    const origins = new Set(devices.flatMap(({ origin }) => origin ?? []))
    let count = 0
    for (const { id, holders } of devices) {
      if (!isBaseId(id) || holders.length > 0 || origins.has(id)) continue
      try {
        await this.#driver.remove(id, signal)
        count += 1
      } catch (error) {
        // A machine took it meanwhile.
        if (!(error instanceof VolumeError) || error.code !== 'volume.in_use') throw error
      }
    }
    return count
  }

  async #ensureClone(
    holder: DeviceId,
    source: DeviceId,
    base: RootBase,
    sizeBytes: number,
    signal?: AbortSignal,
  ): Promise<Attachment> {
    const id = rootId(holder)
    const there = await this.#driver.find(id, signal)
    if (there?.origin !== source) {
      await this.#ensureBase(source, base, sizeBytes, signal)
      await this.#driver.clone(id, source, {}, signal) // of another base: this says so
    }
    return await this.#driver.attach(id, { holder }, signal)
  }

  async #ensureBase(id: DeviceId, base: RootBase, sizeBytes: number, signal?: AbortSignal) {
    if ((await this.#driver.find(id, signal)) !== undefined) return
    await this.#making.hold(async () => {
      if ((await this.#driver.find(id, signal)) !== undefined) return
      const draft = await this.#lock.hold(() => DraftFolder.make(this.#drafts), signal)
      try {
        const file = join(draft.path, 'base')
        await runTool('cp', ['--reflink=auto', '--sparse=auto', '--', base.path, file], { signal })
        await truncate(file, sizeBytes)
        await growExt4(file, signal)
        await this.#driver.importFile(id, file, signal)
      } finally {
        await draft.drop()
      }
    }, signal)
  }
}

/** @throws VolumeError volume.too_large */
async function rootSize(base: RootBase, options: RootOptions): Promise<number> {
  const ownBytes = deviceSize((await stat(base.path)).size)
  if (options.readOnly === true) return ownBytes
  const sizeBytes = deviceSize(options.sizeBytes ?? ROOT_BYTES_MAX)
  if (sizeBytes <= ROOT_BYTES_MAX) return Math.max(sizeBytes, ownBytes)
  throw new VolumeError('volume.too_large', {
    what: 'a root file system may not be that large',
    values: { bytes: sizeBytes, bytesMax: ROOT_BYTES_MAX },
    fix: 'keep data on a volume',
  })
}

const rootId = (machine: DeviceId) => parseDeviceId(`root-${machine}`)
const isBaseId = (id: DeviceId) => id.startsWith('base-')

function baseId(base: RootBase, sizeBytes: number): DeviceId {
  const name = `${basename(base.path)} ${sizeBytes}`
  return parseDeviceId(`base-${createHash('sha256').update(name).digest('hex').slice(0, 32)}`)
}
