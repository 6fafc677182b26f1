import type { ActorId } from './actor-id.ts'
import type { Range } from './range-set.ts'

/** What a node has, as it tells a peer at the start of a sync. */
export interface SyncState {
  readonly actor: ActorId
  /** The highest version seen, of each actor that ever wrote. */
  readonly heads: ReadonlyMap<ActorId, number>
  /** Versions below the head that are missing altogether. */
  readonly need: ReadonlyMap<ActorId, readonly Range[]>
  /** Versions of which a part is here: the seqs that are missing. */
  readonly partialNeed: ReadonlyMap<ActorId, ReadonlyMap<number, readonly Range[]>>
}

/** What a node asks a peer for. */
export type Need =
  | { readonly kind: 'full'; readonly versions: Range }
  | { readonly kind: 'partial'; readonly version: number; readonly seqs: readonly Range[] }

export interface ActorNeeds {
  readonly actor: ActorId
  readonly needs: readonly Need[]
}
