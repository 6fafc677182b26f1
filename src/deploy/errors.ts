import { GodwitError } from '#base'

export type DeployErrorCode = keyof typeof DeployError.catalogue

/** Why a deploy ended without its release on every machine. */
export class DeployError extends GodwitError<DeployErrorCode> {
  static override readonly catalogue = {
    /** Refused before anything was changed. */
    'deploy.not_possible': { status: 422 },
    /** The release command ended with another exit code than 0, or did not end. */
    'deploy.release_command_failed': { status: 422 },
    /** A machine did not start, or not as the new version. */
    'deploy.not_started': { status: 422 },
    /** A machine ended right after it started. */
    'deploy.crashed': { status: 422 },
    /** A machine started and its health checks did not pass. */
    'deploy.unhealthy': { status: 422 },
    /** Somebody else changes the machine. */
    'deploy.lease_held': { status: 409, transient: true },
    /** A machine with a volume is on a host that is gone. */
    'deploy.host_unreachable': { status: 503 },
    /** Some machines have the release, some failed, and going back was not asked or failed too. */
    'deploy.incomplete': { status: 422 },
    /** Ended from outside. What was done stands; the same deploy goes on from there. */
    'deploy.interrupted': { status: 499 },
  } as const
}
