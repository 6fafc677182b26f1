import { GodwitError } from '#base'

export type VolumeErrorCode = keyof typeof VolumeError.catalogue

/** What this part throws. */
export class VolumeError extends GodwitError<VolumeErrorCode> {
  static override readonly catalogue = {
    /** Text that cannot name a device or its holder. */
    'volume.id_bad': { status: 422 },
    /** A size that is no whole number of bytes, or would shrink a device. */
    'volume.size_bad': { status: 422 },
    /** Larger than the limit for its kind. */
    'volume.too_large': { status: 422 },
    /** No such device. */
    'volume.not_found': { status: 404 },
    /** A device of that id is there, made in another way. */
    'volume.exists': { status: 409 },
    /** Somebody holds the device, or has it open. */
    'volume.in_use': { status: 409 },
    /** The device may only be read. */
    'volume.read_only': { status: 409 },
    /** No room for more devices, or for more data. */
    'volume.pool_full': { status: 507, transient: true },
    /** Another process kept the pool for too long. */
    'volume.pool_busy': { status: 503, transient: true },
    /** There is no such pool, and it was not said what to make it of. */
    'volume.pool_missing': { status: 503 },
    /** The pool is not what it should be: mounted otherwise, read-only, in need of repair. */
    'volume.pool_broken': { status: 503 },
    /** A system tool is missing, failed, or took too long. */
    'volume.tool_failed': { status: 500 },
    /** The kernel refused a call. */
    'volume.system': { status: 500 },
  } as const
}
