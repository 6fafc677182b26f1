import type { ActorId } from '../changes/actor-id.ts'
import { type Range, RangeSet } from '../changes/range-set.ts'
import type { Need, SyncState } from '../changes/sync-state.ts'

/** What a peer has that we lack, by actor. */
export interface Needs {
  /** Versions to be sent whole, or as far as the peer has them. */
  readonly full: Map<ActorId, RangeSet>
  /** Versions of which we lack these seqs. */
  readonly partial: Map<ActorId, Map<number, readonly Range[]>>
}

/**
 * Compares our state with a peer's. Versions that the peer lacks itself are left out; of versions that it has in
 * part, what it has. Source: Corrosion's compute_available_needs, without overlapping ranges.
 */
export function computeNeeds(own: SyncState, peer: SyncState): Needs {
  const needs: Needs = { full: new Map(), partial: new Map() }
  for (const [actor, peerHead] of peer.heads) {
    const full = wantedVersions(own, peer, actor, peerHead)
    if (!full.isEmpty) needs.full.set(actor, full)
    const partial = wantedParts(own, peer, actor, peerHead)
    if (partial.size > 0) needs.partial.set(actor, partial)
  }
  return needs
}

function wantedVersions(
  own: SyncState,
  peer: SyncState,
  actor: ActorId,
  peerHead: number,
): RangeSet {
  const head = own.heads.get(actor) ?? 0
  const wanted = new RangeSet()
  for (const { start, end } of own.need.get(actor) ?? []) wanted.add(start, Math.min(end, peerHead))
  wanted.add(head + 1, peerHead)
  for (const { start, end } of peer.need.get(actor) ?? []) wanted.remove(start, end)
  return wanted
}

function wantedParts(
  own: SyncState,
  peer: SyncState,
  actor: ActorId,
  peerHead: number,
): Map<number, readonly Range[]> {
  const parts = new Map<number, readonly Range[]>()
  const peerLacks = new RangeSet(peer.need.get(actor) ?? [])
  for (const [version, missing] of own.partialNeed.get(actor) ?? []) {
    if (version > peerHead || peerLacks.has(version)) continue
    const wanted = new RangeSet(missing)
    for (const { start, end } of peer.partialNeed.get(actor)?.get(version) ?? []) {
      wanted.remove(start, end)
    }
    if (!wanted.isEmpty) parts.set(version, wanted.toArray())
  }
  return parts
}

/** How many versions we know of and lack, in whole or in part. */
export function needCount({ need, partialNeed }: SyncState): number {
  let count = 0
  for (const ranges of need.values()) for (const { start, end } of ranges) count += end - start + 1
  for (const versions of partialNeed.values()) count += versions.size
  return count
}

/**
 * Shares out needs among the sessions of one round: what one has claimed, another does not ask for. A session
 * takes a bounded piece at a time, newest versions first.
 */
export class NeedShares {
  readonly #claimed = new Map<ActorId, RangeSet>()
  readonly #claimedParts = new Set<string>()

  /** The next piece of `needs`, at most `versionsMax` versions; empty when there is nothing left. */
  claim(needs: Needs, versionsMax: number): { actor: ActorId; needs: Need[] }[] {
    const shares: { actor: ActorId; needs: Need[] }[] = []
    let left = versionsMax
    for (const [actor, versions] of needs.partial) {
      const mine: Need[] = []
      for (const [version, seqs] of versions) {
        const key = `${actor}/${version}`
        if (left === 0 || this.#claimedParts.has(key)) continue
        this.#claimedParts.add(key)
        left -= 1
        mine.push({ kind: 'partial', version, seqs })
      }
      if (mine.length > 0) shares.push({ actor, needs: mine })
    }
    for (const [actor, wanted] of needs.full) {
      const mine: Need[] = []
      const claimed = this.#claimed.get(actor) ?? new RangeSet()
      this.#claimed.set(actor, claimed)
      for (const { start, end } of wanted.toArray().reverse()) {
        for (const free of claimed.missing(start, end).reverse()) {
          if (left === 0) break
          const first = Math.max(free.start, free.end - left + 1)
          left -= free.end - first + 1
          claimed.add(first, free.end)
          mine.push({ kind: 'full', versions: { start: first, end: free.end } })
        }
      }
      if (mine.length > 0) shares.push({ actor, needs: mine })
    }
    return shares
  }
}
