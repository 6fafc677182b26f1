import type { BlockDriver } from './block-driver.ts'
import { LvmThinDriver, type LvmThinOptions } from './lvm-thin/lvm-thin-driver.ts'
import { ReflinkDriver, type ReflinkOptions } from './reflink/reflink-driver.ts'

/** Which pool a host has. */
export type DriverConfig =
  | ({ readonly kind: 'reflink' } & ReflinkOptions)
  | ({ readonly kind: 'lvm-thin' } & LvmThinOptions)

/** @throws VolumeError */
export async function openBlockDriver(
  config: DriverConfig,
  signal?: AbortSignal,
): Promise<BlockDriver> {
  switch (config.kind) {
    case 'reflink':
      return await ReflinkDriver.open(config, signal)
    case 'lvm-thin':
      return await LvmThinDriver.open(config, signal)
  }
}
