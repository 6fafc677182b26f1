import type { AttachOptions, Device, DeviceHolder } from './block-driver.ts'
import type { DeviceId } from './device-id.ts'
import { VolumeError } from './errors.ts'

/**
 * The holders of a device once `options.holder` has it too.
 *
 * @throws VolumeError volume.read_only, volume.in_use
 */
export function withHolder(device: Device, options: AttachOptions): readonly DeviceHolder[] {
  const { holder, readOnly: isReadOnly = false } = options
  const { id, holders } = device
  if (device.isReadOnly && !isReadOnly) {
    throw new VolumeError('volume.read_only', {
      what: 'the device may only be read',
      values: { id, holder },
      fix: 'attach it read-only, or clone it',
    })
  }
  const others = holders.filter((one) => one.holder !== holder)
  const other = others.find((one) => !one.isReadOnly || !isReadOnly)
  if (other !== undefined) throw inUse(id, other.holder)
  return [...others, { holder, isReadOnly }]
}

export const withoutHolder = ({ holders }: Device, holder: DeviceId): readonly DeviceHolder[] =>
  holders.filter((one) => one.holder !== holder)

/** @throws VolumeError volume.in_use */
export function assertUnheld({ id, holders }: Device): void {
  const [first] = holders
  if (first !== undefined) throw inUse(id, first.holder)
}

function inUse(id: DeviceId, holder: DeviceId): VolumeError {
  return new VolumeError('volume.in_use', {
    what: 'another holds the device',
    values: { id, holder },
    fix: 'detach it there first',
  })
}
