/**
 * volume: block devices of this host, copy-on-write. Owns the truth about them.
 * Reading order: block-driver.ts (the contract; contract.ts tests it), reflink/reflink-driver.ts,
 * lvm-thin/lvm-thin-driver.ts, then machine-roots.ts and format-once.ts for what is made of devices.
 */
export type {
  Attachment,
  AttachOptions,
  BlockDriver,
  CloneOptions,
  Device,
  DeviceHolder,
  DeviceUsage,
  PoolStats,
} from './block-driver.ts'
export type { DeviceId } from './device-id.ts'
export { isDeviceId, parseDeviceId } from './device-id.ts'
export type { DriverConfig } from './driver-config.ts'
export { openBlockDriver } from './driver-config.ts'
export type { VolumeErrorCode } from './errors.ts'
export { VolumeError } from './errors.ts'
export type { VolumeFormat } from './format-once.ts'
export { formatOnce } from './format-once.ts'
export { growExt4 } from './grow-ext4.ts'
export type { LvmThinOptions } from './lvm-thin/lvm-thin-driver.ts'
export { LvmThinDriver } from './lvm-thin/lvm-thin-driver.ts'
export type { MachineRootsOptions, RootBase, RootOptions } from './machine-roots.ts'
export { MachineRoots, ROOT_BYTES_MAX } from './machine-roots.ts'
export { PoolLock } from './pool-lock.ts'
export type { ReflinkOptions } from './reflink/reflink-driver.ts'
export { ReflinkDriver } from './reflink/reflink-driver.ts'
