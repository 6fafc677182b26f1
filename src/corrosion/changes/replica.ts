import type { ActorId } from './actor-id.ts'
import type { Changeset } from './changeset.ts'
import type { Need, SyncState } from './sync-state.ts'

/**
 * What dissemination and sync need of the store of a node. Calls are synchronous and each is one
 * transaction. A changeset that was refused is not "known": it stays a gap, which sync fills later.
 */
export interface Replica {
  readonly actor: ActorId
  /** Every version and seq of it is here already (applied or buffered). */
  knows(changeset: Changeset): boolean
  /** Applies, or buffers until the version is whole. One outcome each, in order. */
  apply(changesets: readonly Changeset[]): ApplyOutcome[]
  syncState(): SyncState
  /**
   * What the node has of it, in changesets of about `chunkBytes`; versions it lacks are skipped. Newest
   * version first. The iterator reads as it goes: a slow peer costs no memory.
   */
  serve(actor: ActorId, need: Need, chunkBytes: () => number): Iterable<Changeset>
}

/**
 * `applied`: rows changed or could have. `buffered`: a part of a version, kept until it is whole.
 * `known`: no news. `refused`: this node cannot take it now (an unknown column, say): it stays a gap.
 */
export type ApplyOutcome =
  | { readonly kind: 'applied' | 'buffered' | 'known' }
  | { readonly kind: 'refused'; readonly error: Error }
