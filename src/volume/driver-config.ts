import type { BlockDriver } from './block-driver.ts'
import { ReflinkDriver, type ReflinkOptions } from './reflink/reflink-driver.ts'

/** Which pool a host has. */
export type DriverConfig = { readonly kind: 'reflink' } & ReflinkOptions

/** @throws VolumeError */
export async function openBlockDriver(
  config: DriverConfig,
  signal?: AbortSignal,
): Promise<BlockDriver> {
  return await ReflinkDriver.open(config, signal)
}
