/** Identifies what a deploy brings. Every machine says in its metadata which release it has. */
export interface Release {
  readonly id: string
  readonly version: number
}

export const releaseMetadata = ({ id, version }: Release): Record<string, string> => ({
  fly_release_id: id,
  fly_release_version: String(version),
})
