import { GodwitError } from '#base'

export type HostErrorCode = keyof typeof HostError.catalogue

/** What running a host's parts can throw. */
export class HostError extends GodwitError<HostErrorCode> {
  static override readonly catalogue = {
    /** What stands in a host's file cannot be. */
    'host.config_bad': { status: 422 },
    /** The folder with a cluster's files lacks some. */
    'host.cluster_bad': { status: 500 },
    /** Parts that wait for each other, or for one that is not there. */
    'host.order_bad': { status: 422 },
    'host.part_unknown': { status: 404 },
    /** No row of the cluster names it. */
    'host.unknown': { status: 404 },
    /** Machines stay on a host that was to be empty. */
    'host.not_empty': { status: 409 },
    /** A part did not come up again: the upgrade ended there. */
    'host.upgrade_failed': { status: 500 },
    /** Another supervisor runs these parts. */
    'host.running': { status: 409 },
    /** Nobody answers on the supervisor's socket. */
    'host.away': { status: 503, transient: true },
    /** The supervisor answered what this version does not understand. */
    'host.answer_bad': { status: 502 },
  } as const
}
