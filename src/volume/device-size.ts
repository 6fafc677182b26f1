import { VolumeError } from './errors.ts'

/** Every device is a multiple of it: an extent of LVM. */
export const SIZE_STEP_BYTES = 4 << 20
/** What a thin volume may have with chunks of 64 KiB, and ext4 with blocks of 4 KiB. */
export const DEVICE_BYTES_MAX = 16 * 2 ** 40

/**
 * The size that a device gets that shall have at least `bytes`.
 *
 * @throws VolumeError volume.size_bad, volume.too_large
 */
export function deviceSize(bytes: number): number {
  if (!Number.isSafeInteger(bytes) || bytes <= 0) {
    throw new VolumeError('volume.size_bad', {
      what: 'the size of a device is a whole number of bytes, and not nothing',
      values: { bytes },
    })
  }
  if (bytes > DEVICE_BYTES_MAX) {
    throw new VolumeError('volume.too_large', {
      what: 'no device may be that large',
      values: { bytes, bytesMax: DEVICE_BYTES_MAX },
    })
  }
  return Math.ceil(bytes / SIZE_STEP_BYTES) * SIZE_STEP_BYTES
}
