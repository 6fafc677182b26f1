import { GodwitError } from '#base'

export type CorrosionErrorCode = keyof typeof CorrosionError.catalogue

/** What the store of replicated tables can refuse, or find broken. */
export class CorrosionError extends GodwitError<CorrosionErrorCode> {
  static override readonly catalogue = {
    'corrosion.actor_id_bad': { status: 400 },
    /** A change names a table, column or key that does not fit this node's schema. */
    'corrosion.change_unfit': { status: 409 },
    /** The database was written by another layout of the store. */
    'corrosion.format_unknown': { status: 500 },
    /** A merge through crsql_changes inside a transaction that has written rows itself. */
    'corrosion.merge_mixed': { status: 409 },
    'corrosion.file_exists': { status: 409 },
    /** A packed primary key cannot be read. */
    'corrosion.key_malformed': { status: 400 },
  } as const
}
