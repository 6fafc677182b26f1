import type { GuestConfig } from './agent/machine-config.ts'
import type { Guest } from './runtime.ts'

/** The same configuration with the disks named as this guest's init finds them. @throws GuestError guest.spec_bad */
export function withDevices(guest: Pick<Guest, 'deviceOf'>, config: GuestConfig): GuestConfig {
  if (guest.deviceOf === undefined) return config
  const nameOf = (serial: string) => guest.deviceOf?.(serial) ?? serial
  const { root, volumes = [], swapDevices = [] } = config
  return {
    ...config,
    ...(root === undefined ? {} : { root: { ...root, device: nameOf(root.device) } }),
    volumes: volumes.map((one) => ({ ...one, device: nameOf(one.device) })),
    swapDevices: swapDevices.map(nameOf),
  }
}
