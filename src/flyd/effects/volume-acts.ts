import { type BlockDriver, formatOnce, growExt4, parseDeviceId } from '#volume'
import type { VolumeSubject } from '../model/volume-subject.ts'
import { act, fatal } from './fatal-errors.ts'
import type { TakenSnapshot, VolumeEffects } from './machine-effects.ts'

const GIB = 2 ** 30

/** Volumes as devices of the host's pool, each by the id of its volume; snapshots are read-only clones. */
export class VolumeActs implements VolumeEffects {
  readonly #driver: BlockDriver

  constructor(driver: BlockDriver) {
    this.#driver = driver
  }

  createVolume(volume: VolumeSubject, signal: AbortSignal): Promise<void> {
    return act(async () => {
      const { id, sizeGb, fstype, snapshotId, sourceVolumeId } = volume
      const device = parseDeviceId(id)
      const sizeBytes = sizeGb * GIB
      const source = snapshotId ?? sourceVolumeId
      if (source === undefined) {
        if ((await this.#driver.find(device, signal))?.sizeBytes === sizeBytes) return
        await formatOnce(this.#driver, device, { sizeBytes, format: fstype }, signal)
        return
      }
      if ((await this.#driver.find(device, signal)) === undefined) {
        await this.#driver.clone(device, parseDeviceId(source), {}, signal)
      }
      await this.#driver.extend(device, sizeBytes, signal)
      if (fstype === 'ext4') await this.#grow(id, signal)
    })
  }

  extendVolume({ id, sizeGb, fstype }: VolumeSubject, signal: AbortSignal): Promise<boolean> {
    return act(async () => {
      const device = await this.#driver.extend(parseDeviceId(id), sizeGb * GIB, signal)
      // A file system that is mounted grows at the machine's next start.
      if (device.holders.some(({ holder }) => holder !== GROWER)) return true
      if (fstype === 'ext4') await this.#grow(id, signal)
      return false
    })
  }

  destroyVolume(id: string, signal: AbortSignal): Promise<void> {
    return act(async () => {
      await this.#driver.detach(parseDeviceId(id), GROWER, signal)
      await this.#driver.remove(parseDeviceId(id), signal)
    })
  }

  takeSnapshot(snapshotId: string, volumeId: string, signal: AbortSignal): Promise<TakenSnapshot> {
    return act(async () => {
      const snapshot = parseDeviceId(snapshotId)
      if ((await this.#driver.find(snapshot, signal)) === undefined) {
        await this.#driver.clone(snapshot, parseDeviceId(volumeId), { readOnly: true }, signal)
      }
      const usage = (await this.#driver.listUsage(signal)).find(({ id }) => id === snapshot)
      if (usage === undefined) throw fatal('the snapshot is gone', { snapshot: snapshotId })
      return { volumeBytes: usage.sizeBytes, storedBytes: usage.mappedBytes }
    })
  }

  removeSnapshot(snapshotId: string, signal: AbortSignal): Promise<void> {
    return act(() => this.#driver.remove(parseDeviceId(snapshotId), signal))
  }

  /** To the end of its device, when nobody has it. Runs twice. @throws EffectError, VolumeError */
  async #grow(id: string, signal: AbortSignal): Promise<void> {
    const device = parseDeviceId(id)
    const { path } = await this.#driver.attach(device, { holder: GROWER }, signal)
    try {
      await growExt4(path, signal)
    } finally {
      await this.#driver.detach(device, GROWER)
    }
  }

  /** Before a machine has them. */
  async prepareMounts(
    ids: readonly string[],
    machineId: string,
    signal: AbortSignal,
  ): Promise<void> {
    for (const id of ids) {
      const device = await this.#driver.find(parseDeviceId(id), signal)
      if (device === undefined) throw fatal('the volume is not on this host', { volume: id })
      const isHeld = device.holders.some(({ holder }) => holder !== GROWER)
      if (isHeld && !device.holders.some(({ holder }) => holder === machineId)) {
        throw fatal('another machine has the volume', { volume: id })
      }
      if (!isHeld) await this.#grow(id, signal)
    }
  }
}

const GROWER = parseDeviceId('grow')
