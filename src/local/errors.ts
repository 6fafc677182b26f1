import { GodwitError } from '#base'

export type LocalErrorCode = keyof typeof LocalError.catalogue

/** What the local mode refuses or fails to do, beside the errors of images, volumes and guests. */
export class LocalError extends GodwitError<LocalErrorCode> {
  static override readonly catalogue = {
    /** No machine of that id or name, or more than one. */
    'local.not_found': { status: 404 },
    /** The name is taken. */
    'local.name_taken': { status: 409 },
    /** Not in this state. */
    'local.state_bad': { status: 409 },
    /** Another process prepares an image or changes machines, for too long. */
    'local.busy': { status: 503, transient: true },
    /** A value that the local mode does not take. */
    'local.value_bad': { status: 422 },
    /** The host's port is taken, or may not be had. */
    'local.port_unusable': { status: 409 },
    /** The host's network could not be changed. */
    'local.network_failed': { status: 500 },
    /** The process that keeps the machine did not begin, or ended. */
    'local.keeper_failed': { status: 500, transient: true },
    /** Root is needed. */
    'local.root_needed': { status: 403 },
  } as const
}
