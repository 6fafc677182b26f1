import type { DeviceId } from './device-id.ts'

/** A virtual disk. */
export interface Device {
  readonly id: DeviceId
  /** What who opens it sees: a multiple of SIZE_STEP_BYTES. Costs nothing until it is written. */
  readonly sizeBytes: number
  readonly made: 'empty' | 'imported' | 'cloned'
  /** What it was cloned from, which may be gone since. */
  readonly origin?: DeviceId
  readonly isReadOnly: boolean
  /** Those who keep it from being removed: one that may write, or any number that only read. */
  readonly holders: readonly DeviceHolder[]
}

export interface DeviceHolder {
  readonly holder: DeviceId
  readonly isReadOnly: boolean
}

export interface DeviceUsage extends Device {
  /** Bytes of the pool that it refers to, alone or with others. */
  readonly mappedBytes: number
  /** Those of them that no other device refers to. Undefined: this pool cannot say. */
  readonly exclusiveBytes?: number
}

export interface PoolStats {
  readonly totalBytes: number
  /** What may still be written before the pool is full. */
  readonly freeBytes: number
  /** Share of the pool's own bookkeeping that is used, 0 to 1, where that has its own limit. */
  readonly metadataRatio?: number
}

export interface AttachOptions {
  readonly holder: DeviceId
  /** Held beside other readers. @default false */
  readonly readOnly?: boolean
}

/**
 * Block devices of one pool on this host, thin and copy-on-write.
 *
 * Every change happens at once or not at all, whenever the process dies; what it was working on is
 * cleaned up by the next `open`. Once a call has returned, a power cut does not undo it. Any of them may
 * run twice: making what is there in the same way, extending to the same size, removing what is gone,
 * attaching and detaching again all succeed. Processes may share a pool.
 *
 * All throw VolumeError: volume.pool_full when there is no room, volume.pool_busy, volume.tool_failed,
 * volume.system; or the signal's reason, with nothing done then.
 */
export interface BlockDriver {
  readonly kind: 'reflink' | 'lvm-thin'

  /** Makes a device that reads as zeros. @throws VolumeError volume.exists, volume.size_bad, volume.too_large */
  create(id: DeviceId, sizeBytes: number, signal?: AbortSignal): Promise<Device>

  /**
   * Makes a device with the bytes of a file, and zeros after them. Holes of the file stay holes.
   *
   * @throws VolumeError volume.exists, volume.system
   */
  importFile(id: DeviceId, path: string, signal?: AbortSignal): Promise<Device>

  /**
   * Makes a device that begins with what `source` holds at one instant, also while that is attached and
   * written to: crash-consistent, as after a power cut. Takes the same time whatever the size. From then
   * on neither sees what is written to the other, and either may be removed.
   *
   * @throws VolumeError volume.exists, volume.not_found
   */
  clone(
    id: DeviceId,
    source: DeviceId,
    options?: CloneOptions,
    signal?: AbortSignal,
  ): Promise<Device>

  /**
   * Makes a device at least `sizeBytes` large, attached or not; zeros follow. Who has it open is not told.
   *
   * @throws VolumeError volume.size_bad when it is larger already, volume.read_only, volume.not_found,
   *   volume.too_large
   */
  extend(id: DeviceId, sizeBytes: number, signal?: AbortSignal): Promise<Device>

  /** Gives back its room. @throws VolumeError volume.in_use while it is attached, or open */
  remove(id: DeviceId, signal?: AbortSignal): Promise<void>

  /**
   * Opens the device for `holder` and keeps it from being removed until `detach`, over restarts of the
   * process and of the host. After a restart of the host, attach again before using the path.
   *
   * @returns path of a regular file or block device, for a VMM or a mount.
   * @throws VolumeError volume.not_found, volume.read_only, volume.in_use when another holder writes, or
   *   this one wants to and others read.
   */
  attach(id: DeviceId, options: AttachOptions, signal?: AbortSignal): Promise<Attachment>

  /** @throws VolumeError volume.in_use while something has it open, where the pool can tell. */
  detach(id: DeviceId, holder: DeviceId, signal?: AbortSignal): Promise<void>

  find(id: DeviceId, signal?: AbortSignal): Promise<Device | undefined>
  /** All devices, by id. */
  list(signal?: AbortSignal): Promise<readonly Device[]>
  /** The same with what each takes, which may take long to count. */
  listUsage(signal?: AbortSignal): Promise<readonly DeviceUsage[]>
  stats(signal?: AbortSignal): Promise<PoolStats>
}

export interface CloneOptions {
  /** A snapshot that stays as it is. @default false */
  readonly readOnly?: boolean
}

export interface Attachment {
  readonly path: string
  readonly isReadOnly: boolean
}
