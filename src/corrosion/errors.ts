import { GodwitError } from '#base'

export type CorrosionErrorCode = keyof typeof CorrosionError.catalogue

/** What the store of replicated tables can refuse, or find broken. */
export class CorrosionError extends GodwitError<CorrosionErrorCode> {
  static override readonly catalogue = {
    'corrosion.actor_id_bad': { status: 400 },
    /** A packed primary key cannot be read. */
    'corrosion.key_malformed': { status: 400 },
  } as const
}
