/**
 * Devices as thin volumes of LVM. The group's own metadata is the only state (device-volume.ts).
 *
 * A device is active (has a node) while it is held, and only then: a host that starts activates none.
 */
import { existsSync } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { errorCode } from '#base'
import type {
  Attachment,
  AttachOptions,
  BlockDriver,
  CloneOptions,
  Device,
  DeviceHolder,
  DeviceUsage,
  PoolStats,
} from '../block-driver.ts'
import { copyToZeros } from '../copy-sparse.ts'
import type { DeviceId } from '../device-id.ts'
import { deviceSize, SIZE_STEP_BYTES } from '../device-size.ts'
import { DraftFolder } from '../draft-folder.ts'
import { VolumeError } from '../errors.ts'
import { assertUnheld, withHolder, withoutHolder } from '../holders.ts'
import { PoolLock } from '../pool-lock.ts'
import { assertExtendable, type Making, notFound, sameDevice } from '../same-device.ts'
import { deviceOf, holderWords, makingWords, volumeName } from './device-volume.ts'
import { dropHalfMade } from './half-made.ts'
import { dmsetup, type LogicalVolume, logicalVolumes, lvm } from './lvm.ts'
import { mendPool } from './mend-pool.ts'
import { findPool, mapperName, type PoolStatus, parsePoolStatus } from './pool-status.ts'
import { CHUNK_BYTES, ensureThinPool, type ThinPoolOptions } from './thin-pool.ts'
import { readThinUsage } from './thin-usage.ts'

export interface LvmThinOptions extends ThinPoolOptions {
  /** For locks, which need not outlive a restart of the host. @default /run/godwit/volume */
  readonly runFolder?: string
}

/** Beyond these shares nothing new is made: a pool that is full breaks its guests, one without metadata itself. */
const DATA_RATIO_MAX = 0.98
const METADATA_RATIO_MAX = 0.9

const ACTIVATE = ['--activate', 'y', '--ignoreactivationskip']

export class LvmThinDriver implements BlockDriver {
  readonly kind = 'lvm-thin'
  readonly #group: string
  readonly #pool: string
  readonly #folder: string
  readonly #drafts: string
  readonly #lock: PoolLock
  /** A command of LVM has failed, perhaps in the middle of something. */
  #isUnsettled = false

  private constructor({ group, pool, runFolder = '/run/godwit/volume' }: LvmThinOptions) {
    this.#group = group
    this.#pool = pool
    this.#folder = join(runFolder, `${group}-${pool}`)
    this.#drafts = join(this.#folder, 'drafts')
    this.#lock = new PoolLock(join(this.#folder, 'lock'))
  }

  /**
   * Makes, activates or finds the pool, and cleans up after processes that died.
   *
   * @throws VolumeError volume.pool_missing, volume.pool_broken
   */
  static async open(options: LvmThinOptions, signal?: AbortSignal): Promise<LvmThinDriver> {
    const driver = new LvmThinDriver(options)
    await mkdir(driver.#drafts, { recursive: true, mode: 0o700 })
    await driver.#lock.hold(async () => {
      await ensureThinPool(options, signal)
      await driver.#mend(signal)
      await driver.#sweep(signal)
    }, signal)
    return driver
  }

  async create(id: DeviceId, sizeBytes: number, signal?: AbortSignal): Promise<Device> {
    const making = { made: 'empty', isReadOnly: false, sizeBytes: deviceSize(sizeBytes) } as const
    return await this.#make(id, making, (name) => this.#createThin(name, making, signal), signal)
  }

  async clone(
    id: DeviceId,
    source: DeviceId,
    { readOnly: isReadOnly = false }: CloneOptions = {},
    signal?: AbortSignal,
  ): Promise<Device> {
    const making: Making = { made: 'cloned', origin: source, isReadOnly }
    const act = async (name: string) => {
      const mode = ['--permission', isReadOnly ? 'r' : 'rw', '--type', 'thin']
      const words = [
        '--name',
        name,
        ...makingWords(making),
        ...mode,
        this.#path(volumeName(source)),
      ]
      await lvm('lvcreate', words, signal)
    }
    return await this.#make(id, making, act, signal)
  }

  async importFile(id: DeviceId, path: string, signal?: AbortSignal): Promise<Device> {
    const making: Making = { made: 'imported', isReadOnly: false }
    let draft: DraftFolder | undefined
    try {
      const sizeBytes = deviceSize(await fileSize(path))
      const begun = await this.#held(async () => {
        const there = await this.find(id, signal)
        if (there !== undefined) return sameDevice(there, making)
        await this.#assertRoom(signal)
        const folder = await DraftFolder.make(this.#drafts)
        await this.#createThin(draftName(folder), { ...making, sizeBytes }, signal)
        return folder
      }, signal)
      if (!(begun instanceof DraftFolder)) return begun
      draft = begun
      const name = draftName(draft)
      await lvm('lvchange', [...ACTIVATE, this.#path(name)], signal)
      await copyToZeros(path, this.#node(name), signal)
      await lvm('lvchange', ['--activate', 'n', this.#path(name)], signal)
      return await this.#make(
        id,
        making,
        (final) => lvm('lvrename', [this.#group, name, final], signal),
        signal,
      )
    } finally {
      if (draft !== undefined) await this.#dropDraft(draft)
    }
  }

  async extend(id: DeviceId, sizeBytes: number, signal?: AbortSignal): Promise<Device> {
    const wantedBytes = deviceSize(sizeBytes)
    return await this.#held(async () => {
      const device = await this.#get(id, signal)
      assertExtendable(device, wantedBytes)
      if (device.sizeBytes === wantedBytes) return device
      await this.#assertRoom(signal)
      await lvm('lvextend', ['--size', `${wantedBytes}b`, this.#path(volumeName(id))], signal)
      return { ...device, sizeBytes: wantedBytes }
    }, signal)
  }

  async remove(id: DeviceId, signal?: AbortSignal): Promise<void> {
    await this.#held(async () => {
      const device = await this.find(id, signal)
      if (device === undefined) return
      assertUnheld(device)
      await lvm('lvremove', ['--force', this.#path(volumeName(id))], signal)
    }, signal)
  }

  async attach(id: DeviceId, options: AttachOptions, signal?: AbortSignal): Promise<Attachment> {
    return await this.#held(async () => {
      const [volume] = await this.#volumes(`lv_name=${volumeName(id)}`, signal)
      if (volume === undefined) throw notFound(id)
      const device = deviceOf(volume)
      await this.#writeHolders(device, withHolder(device, options), signal)
      if (!volume.isActive) await lvm('lvchange', [...ACTIVATE, this.#path(volume.name)], signal)
      return { path: this.#node(volumeName(id)), isReadOnly: options.readOnly ?? false }
    }, signal)
  }

  async detach(id: DeviceId, holder: DeviceId, signal?: AbortSignal): Promise<void> {
    await this.#held(async () => {
      const device = await this.find(id, signal)
      if (device === undefined) return
      const left = withoutHolder(device, holder)
      if (left.length === 0)
        await lvm('lvchange', ['--activate', 'n', this.#path(volumeName(id))], signal)
      await this.#writeHolders(device, left, signal)
    }, signal)
  }

  async find(id: DeviceId, signal?: AbortSignal): Promise<Device | undefined> {
    const [volume] = await this.#volumes(`lv_name=${volumeName(id)}`, signal)
    return volume === undefined ? undefined : deviceOf(volume)
  }

  async list(signal?: AbortSignal): Promise<readonly Device[]> {
    const volumes = await this.#volumes('lv_name=~^d[.]', signal)
    return volumes.map(deviceOf).sort(byId)
  }

  async listUsage(signal?: AbortSignal): Promise<readonly DeviceUsage[]> {
    return await this.#held(async () => {
      const volumes = await this.#volumes('lv_name=~^d[.]', signal)
      const usage = await readThinUsage(this.#group, this.#pool, signal)
      const used = volumes.map((volume) => {
        const { mappedBlocks = 0, exclusiveBlocks = 0 } = usage.get(volume.thinId) ?? {}
        return {
          ...deviceOf(volume),
          mappedBytes: mappedBlocks * CHUNK_BYTES,
          exclusiveBytes: exclusiveBlocks * CHUNK_BYTES,
        }
      })
      return used.sort(byId)
    }, signal)
  }

  async stats(signal?: AbortSignal): Promise<PoolStats> {
    const status = await this.#status(signal)
    return {
      totalBytes: status.totalBlocks * CHUNK_BYTES,
      freeBytes: (status.totalBlocks - status.usedBlocks) * CHUNK_BYTES,
      metadataRatio: status.metadataUsedBlocks / status.metadataTotalBlocks,
    }
  }

  async #make(
    id: DeviceId,
    making: Making,
    act: (name: string) => Promise<unknown>,
    signal?: AbortSignal,
  ): Promise<Device> {
    const { origin } = making
    const names = [id, ...(origin === undefined ? [] : [origin])].map(volumeName)
    return await this.#held(async () => {
      const select = names.map((name) => `lv_name=${name}`).join(' || ')
      const found = (await this.#volumes(`(${select})`, signal)).map(deviceOf)
      const there = found.find((device) => device.id === id)
      if (there !== undefined) return sameDevice(there, making)
      const source = found.find((device) => device.id === origin)
      if (origin !== undefined && source === undefined) throw notFound(origin)
      await this.#assertRoom(signal)
      await act(volumeName(id))
      const sizeBytes = making.sizeBytes ?? source?.sizeBytes
      if (sizeBytes === undefined) return await this.#get(id, signal)
      return { id, holders: [], ...making, sizeBytes }
    }, signal)
  }

  async #createThin(name: string, making: Making, signal?: AbortSignal): Promise<void> {
    const size = ['--virtualsize', `${making.sizeBytes}b`, '--thinpool', this.#path(this.#pool)]
    await lvm('lvcreate', ['--name', name, ...makingWords(making), ...size], signal)
  }

  async #writeHolders(device: Device, holders: readonly DeviceHolder[], signal?: AbortSignal) {
    const words = holderWords(device.holders, holders)
    if (words.length > 0)
      await lvm('lvchange', [...words, this.#path(volumeName(device.id))], signal)
  }

  async #get(id: DeviceId, signal?: AbortSignal): Promise<Device> {
    const device = await this.find(id, signal)
    if (device === undefined) throw notFound(id)
    return device
  }

  async #volumes(select: string, signal?: AbortSignal): Promise<LogicalVolume[]> {
    return await logicalVolumes(this.#group, `pool_lv=${this.#pool} && ${select}`, signal)
  }

  async #status(signal?: AbortSignal): Promise<PoolStatus> {
    const text = await dmsetup(['status', '--target', 'thin-pool'], signal)
    const { status } = findPool(text, { group: this.#group, pool: this.#pool })
    return parsePoolStatus(status, this.#path(this.#pool))
  }

  async #assertRoom(signal?: AbortSignal): Promise<void> {
    const status = await this.#status(signal)
    const dataRatio = status.usedBlocks / status.totalBlocks
    const metadataRatio = status.metadataUsedBlocks / status.metadataTotalBlocks
    const pool = this.#path(this.#pool)
    if (dataRatio > DATA_RATIO_MAX || status.mode !== 'rw') {
      throw full('the pool is full', { pool, dataRatio }, `lvextend --extents +100%FREE ${pool}`)
    }
    if (metadataRatio > METADATA_RATIO_MAX) {
      const fix = `lvextend --poolmetadatasize +1G ${pool}`
      throw full('the metadata of the pool is full', { pool, metadataRatio }, fix)
    }
  }

  /** Alone, and not upon what a command of LVM that failed has left. */
  async #held<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return await this.#lock.hold(async () => {
      if (this.#isUnsettled) await this.#mend(signal)
      this.#isUnsettled = false
      try {
        return await work()
      } catch (error) {
        this.#isUnsettled = errorCode(error) === 'volume.tool_failed'
        throw error
      }
    }, signal)
  }

  async #mend(signal?: AbortSignal): Promise<void> {
    const nameIn = (volume: string, layer?: string) => mapperName(this.#group, volume, layer)
    const parts = [`${this.#pool}_tmeta`, `${this.#pool}_tdata`].map((part) => nameIn(part))
    const noted = { group: this.#group, pool: this.#pool, file: join(this.#folder, 'metadata') }
    await mendPool(
      {
        path: this.#path(this.#pool),
        isAgreed: (within) => this.#isAgreed(within),
        devices: [...parts, nameIn(this.#pool, 'tpool'), nameIn(this.#pool)],
        volumeDevices: async (within) =>
          (await this.#volumes('lv_name!=""', within)).map(({ name }) => nameIn(name)),
        dropHalfMade: (within) => dropHalfMade(noted, within),
        make: (name, within) =>
          this.#createThin(
            name,
            { made: 'empty', isReadOnly: false, sizeBytes: SIZE_STEP_BYTES },
            within,
          ),
        remove: (name, within) => lvm('lvremove', ['--force', this.#path(name)], within),
      },
      signal,
    )
  }

  async #isAgreed(signal?: AbortSignal): Promise<boolean> {
    const [pool] = await logicalVolumes(this.#group, `lv_name=${this.#pool}`, signal)
    return pool?.transaction === (await this.#status(signal)).transaction
  }

  /** What was being imported by processes that died. */
  async #sweep(signal?: AbortSignal): Promise<void> {
    await DraftFolder.sweep(this.#drafts)
    for (const { name } of await this.#volumes('lv_name=~^t[.]', signal)) {
      if (existsSync(join(this.#drafts, name.slice(2)))) continue
      await lvm('lvremove', ['--force', this.#path(name)], signal)
    }
  }

  /** With no signal: this is what an abort leads to. */
  async #dropDraft(draft: DraftFolder): Promise<void> {
    try {
      await this.#held(async () => {
        const [volume] = await this.#volumes(`lv_name=${draftName(draft)}`)
        if (volume !== undefined) await lvm('lvremove', ['--force', this.#path(volume.name)])
      })
    } finally {
      await draft.drop()
    }
  }

  #path(name: string): string {
    return `${this.#group}/${name}`
  }

  #node(name: string): string {
    return `/dev/mapper/${mapperName(this.#group, name)}`
  }
}

const draftName = (draft: DraftFolder) => `t.${basename(draft.path)}`
const byId = (one: Device, two: Device) => (one.id < two.id ? -1 : 1)

async function fileSize(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (cause) {
    throw new VolumeError('volume.system', {
      what: 'the file to import cannot be read',
      values: { path, errno: errorCode(cause) },
      cause,
    })
  }
}

function full(what: string, values: Record<string, unknown>, fix: string): VolumeError {
  return new VolumeError('volume.pool_full', {
    what,
    values,
    fix: `remove machines, volumes or unused images, or make it larger: ${fix}`,
  })
}
