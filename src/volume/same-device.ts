import type { Device } from './block-driver.ts'
import type { DeviceId } from './device-id.ts'
import { VolumeError } from './errors.ts'

/** How a device was asked for: what its id promises when it is asked for again. */
export interface Making {
  readonly made: Device['made']
  readonly origin?: DeviceId
  readonly isReadOnly: boolean
  /** Of an empty device; the others have their source's. */
  readonly sizeBytes?: number
}

/** The device that is there, if it was made as asked. @throws VolumeError volume.exists */
export function sameDevice<T extends Device>(device: T, making: Making): T {
  const isSame =
    device.made === making.made &&
    device.origin === making.origin &&
    device.isReadOnly === making.isReadOnly &&
    (making.sizeBytes === undefined || device.sizeBytes === making.sizeBytes)
  if (isSame) return device
  throw new VolumeError('volume.exists', {
    what: 'a device of that id is there, made in another way',
    values: { id: device.id, made: device.made, origin: device.origin, bytes: device.sizeBytes },
    fix: 'take another id, or remove it first',
  })
}

/** @throws VolumeError volume.size_bad, volume.read_only */
export function assertExtendable({ id, isReadOnly, sizeBytes }: Device, wantedBytes: number): void {
  if (wantedBytes < sizeBytes) {
    throw new VolumeError('volume.size_bad', {
      what: 'devices only grow',
      values: { id, bytes: sizeBytes, wantedBytes },
    })
  }
  if (isReadOnly) {
    throw new VolumeError('volume.read_only', {
      what: 'the device may only be read',
      values: { id },
      fix: 'clone it, and extend the clone',
    })
  }
}

export function notFound(id: DeviceId): VolumeError {
  return new VolumeError('volume.not_found', { what: 'no such device', values: { id } })
}
