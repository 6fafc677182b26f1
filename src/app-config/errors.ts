import { GodwitError } from '#base'

export type AppConfigErrorCode = keyof typeof AppConfigError.catalogue

/** What reading an app's configuration can throw. What is merely wrong in it is told as problems. */
export class AppConfigError extends GodwitError<AppConfigErrorCode> {
  static override readonly catalogue = {
    /** There is no file of that name, or none of the usual names in the folder. */
    'app_config.not_found': { status: 404 },
    /** The file is there and cannot be read. */
    'app_config.unreadable': { status: 422 },
    /** Not TOML, JSON or YAML, or not a table. */
    'app_config.unparsable': { status: 422 },
    /** It parses, and cannot be deployed as it is. */
    'app_config.bad': { status: 422 },
    /** No process group of that name. */
    'app_config.no_group': { status: 422 },
  } as const
}
