import { GodwitError } from '#base'

/** Why a host's daemons could not be given to systemd. */
export class InstallError extends GodwitError<keyof typeof InstallError.catalogue> {
  static override readonly catalogue = {
    'install.not_written': { status: 500 },
    'install.systemctl_failed': { status: 500 },
  } as const
}
