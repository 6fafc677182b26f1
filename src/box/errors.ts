import { GodwitError } from '#base'

export type BoxErrorCode = keyof typeof BoxError.catalogue

/** What running the platform on a planet can throw. */
export class BoxError extends GodwitError<BoxErrorCode> {
  static override readonly catalogue = {
    /** The planet's hosts have no files yet, or no host is a gateway. */
    'box.not_founded': { status: 404 },
    /** The platform was founded with another runtime for its machines. */
    'box.other_runtime': { status: 409 },
    /** A host's parts, or the cluster, did not come to stand in time. */
    'box.not_ready': { status: 504, transient: true },
  } as const
}
