import { GodwitError } from '#base'

export type HostErrorCode = keyof typeof HostError.catalogue

/** What running a host's parts can throw. */
export class HostError extends GodwitError<HostErrorCode> {
  static override readonly catalogue = {
    /** What stands in a host's file cannot be. */
    'host.config_bad': { status: 422 },
    /** The folder with a cluster's files lacks some. */
    'host.cluster_bad': { status: 500 },
    /** Another step of the change of a cluster's CA is to come first. */
    'host.ca_step_bad': { status: 409 },
    /** A server may not join the cluster so, or the gateway said no. */
    'host.join_refused': { status: 403 },
    /** The gateway cannot be reached, or is not of the cluster that the token says. */
    'host.gateway_away': { status: 502, transient: true },
    /** A gateway signs not anew for this host: it is no member, or its certificates have ended. */
    'host.renewal_refused': { status: 403 },
    /** A host that still answers, or that the cluster cannot do without. */
    'host.not_removed': { status: 409 },
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
