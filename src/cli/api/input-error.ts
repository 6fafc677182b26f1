import { GodwitError } from '#base'

/** What a command that talks to the API lacks. */
export class ApiInputError extends GodwitError<keyof typeof ApiInputError.catalogue> {
  static override readonly catalogue = {
    'cli.no_api': { status: 400 },
    'cli.no_token': { status: 400 },
    'cli.ca_unreadable': { status: 400 },
    'cli.file_unreadable': { status: 400 },
    /** Neither an option nor a file says which app. */
    'cli.no_app': { status: 400 },
    /** The caller's tokens are for several, and none was named. */
    'cli.no_organization': { status: 400 },
    /** A verb of flyctl that is not here. */
    'cli.no_command': { status: 400 },
    'cli.bad_value': { status: 400 },
    'cli.no_image': { status: 400 },
    /** The command ran, and what it ran failed. */
    'cli.failed': { status: 422 },
  } as const
}
