import { GodwitError } from '#base'

/** What `godwit corrosion` itself refuses. */
export class CorrosionCliError extends GodwitError<keyof typeof CorrosionCliError.catalogue> {
  static override readonly catalogue = { 'cli.file_exists': { status: 409 } } as const
}
