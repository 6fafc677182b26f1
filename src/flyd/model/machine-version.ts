/** As the API lists the versions of a machine. */
export interface VersionJson {
  readonly version: string
  readonly user_config: unknown
}

/** What is remembered of each machine. */
export const VERSIONS_MAX = 50
