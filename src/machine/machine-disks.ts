import type { MachineId } from '#base'
import {
  type BlockDriver,
  type DeviceId,
  formatOnce,
  type MachineRoots,
  parseDeviceId,
  type VolumeFormat,
} from '#volume'
import { configBad } from './errors.ts'
import type { MachineConfig, MachineMount } from './machine-config.ts'
import { runMkswap } from './run-mkswap.ts'

export interface MachineDisksOptions {
  readonly driver: BlockDriver
  readonly roots: MachineRoots
}

/** Paths of devices that a runtime may open; attached to the machine until `release` or `remove`. */
export interface PreparedDisks {
  readonly root: { readonly path: string; readonly readOnly: boolean }
  readonly volumes: readonly {
    readonly mount: MachineMount
    readonly path: string
    readonly type: 'ext4' | 'xfs'
  }[]
  readonly swapPath: string | undefined
}

const VOLUME_FORMAT: VolumeFormat & 'ext4' = 'ext4'

/**
 * The disks of machines: a root cloned from the image's base, volumes, swap. Every call may be repeated,
 * and finds what an earlier one has made, whoever made it.
 */
export class MachineDisks {
  readonly #driver: BlockDriver
  readonly #roots: MachineRoots

  constructor({ driver, roots }: MachineDisksOptions) {
    this.#driver = driver
    this.#roots = roots
  }

  /** Makes and attaches all. @throws VolumeError; MachineError machine.config_bad: a volume is missing */
  async prepare(
    id: MachineId,
    config: Pick<MachineConfig, 'rootfs' | 'mounts' | 'swapMib'>,
    basePath: string,
    signal?: AbortSignal,
  ): Promise<PreparedDisks> {
    const root = await this.#roots.ensure(id, { path: basePath }, config.rootfs, signal)
    const beside = await this.prepareBeside(id, config, signal)
    return { root: { path: root.path, readOnly: root.isReadOnly }, ...beside }
  }

  /** All but the root. @throws as `prepare` */
  async prepareBeside(
    id: MachineId,
    { mounts = [], swapMib = 0 }: Pick<MachineConfig, 'mounts' | 'swapMib'>,
    signal?: AbortSignal,
  ): Promise<Omit<PreparedDisks, 'root'>> {
    const volumes: PreparedDisks['volumes'][number][] = []
    for (const mount of mounts) {
      const path = await this.#volume(id, mount, signal)
      volumes.push({ mount, path, type: VOLUME_FORMAT })
    }
    const swapPath = swapMib > 0 ? await this.#swap(id, swapMib * 2 ** 20, signal) : undefined
    return { volumes, swapPath }
  }

  /** Lets go of its volumes: another machine may have them. The root stays. */
  async releaseVolumes(id: MachineId, signal?: AbortSignal): Promise<void> {
    const holder = parseDeviceId(id)
    for (const { id: device, holders } of await this.#driver.list(signal)) {
      if (isOfMachine(device, id)) continue
      if (holders.some((one) => one.holder === holder)) {
        await this.#driver.detach(device, holder, signal)
      }
    }
  }

  /** Removes its root and swap, and lets go of its volumes, which stay. Runs twice, and without any. */
  async remove(id: MachineId, signal?: AbortSignal): Promise<void> {
    const holder = parseDeviceId(id)
    const swap = swapId(id)
    await this.#driver.detach(swap, holder, signal)
    await this.#driver.remove(swap, signal)
    await this.#roots.remove(id, signal)
    await this.releaseVolumes(id, signal)
  }

  async #volume(id: MachineId, mount: MachineMount, signal?: AbortSignal): Promise<string> {
    const volume = parseDeviceId(mount.volume)
    const there = await this.#driver.find(volume, signal)
    if (there === undefined) {
      const { sizeBytes } = mount
      if (sizeBytes === undefined) throw configBad('there is no such volume', { volume })
      await formatOnce(this.#driver, volume, { sizeBytes, format: VOLUME_FORMAT }, signal)
    }
    const options = { holder: parseDeviceId(id), readOnly: mount.readOnly ?? false }
    return (await this.#driver.attach(volume, options, signal)).path
  }

  /** What it held before is of no use to anybody. */
  async #swap(id: MachineId, sizeBytes: number, signal?: AbortSignal): Promise<string> {
    const swap = swapId(id)
    const holder = parseDeviceId(id)
    await this.#driver.detach(swap, holder, signal)
    await this.#driver.remove(swap, signal)
    await this.#driver.create(swap, sizeBytes, signal)
    const { path } = await this.#driver.attach(swap, { holder }, signal)
    await runMkswap(path, signal)
    return path
  }
}

const swapId = (id: MachineId) => parseDeviceId(`swap-${id}`)

const isOfMachine = (device: DeviceId, id: MachineId) =>
  device === swapId(id) || device === `root-${id}` || device.startsWith('base-')
