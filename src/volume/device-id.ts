import { VolumeError } from './errors.ts'

declare const brand: unique symbol

/**
 * Names a device, or who holds one: 1 to 63 lower-case letters, digits, `-` and `_`, the first a letter
 * or digit. Safe in a path, a shell and the name of a logical volume. Volume and machine ids are such.
 */
export type DeviceId = string & { readonly [brand]: 'DeviceId' }

export const DEVICE_ID_PATTERN = /^[a-z0-9][a-z0-9_-]{0,62}$/

export const isDeviceId = (text: string): text is DeviceId => DEVICE_ID_PATTERN.test(text)

/** @throws VolumeError volume.id_bad */
export function parseDeviceId(text: string): DeviceId {
  if (isDeviceId(text)) return text
  throw new VolumeError('volume.id_bad', {
    what: 'not the id of a device or holder',
    values: { id: text },
    fix: 'use 1 to 63 lower-case letters, digits, - and _, the first a letter or digit',
  })
}
