import type { ActorId } from '../changes/actor-id.ts'
import type { Changeset } from '../changes/changeset.ts'
import type { Range } from '../changes/range-set.ts'
import type { Need } from '../changes/sync-state.ts'
import type { ActorVersions } from './bookkeeping.ts'
import type { VersionReader } from './version-reader.ts'

/** Whose versions are wanted: an actor as the store numbers it, and what is here of it. */
interface Source {
  readonly actor: ActorId
  readonly site: number
  readonly versions: ActorVersions
}

/** What a peer needs of one actor, as far as it is here. */
export function* serveNeed(
  reader: VersionReader,
  source: Source,
  need: Need,
  chunkBytes: () => number,
): Generator<Changeset> {
  if (need.kind === 'partial')
    yield* serveVersion(reader, source, need.version, chunkBytes, need.seqs)
  else yield* serveRange(reader, source, need.versions, chunkBytes)
}

/** Newest first; neighbours of which nothing is left go together. */
function* serveRange(
  reader: VersionReader,
  source: Source,
  { start, end }: Range,
  chunkBytes: () => number,
): Generator<Changeset> {
  const { actor, versions } = source
  let empty: Range | undefined
  for (let version = Math.min(end, versions.head); version >= start; version -= 1) {
    for (const changeset of serveVersion(reader, source, version, chunkBytes)) {
      if (changeset.kind === 'empty' && (empty === undefined || empty.start === version + 1)) {
        empty = { start: version, end: empty?.end ?? version }
        continue
      }
      if (empty !== undefined) yield { kind: 'empty', actor, versions: empty, ts: null }
      empty = changeset.kind === 'empty' ? changeset.versions : undefined
      if (changeset.kind === 'full') yield changeset
    }
  }
  if (empty !== undefined) yield { kind: 'empty', actor, versions: empty, ts: null }
}

function serveVersion(
  reader: VersionReader,
  { actor, site, versions: { head, needed, partials } }: Source,
  version: number,
  chunkBytes: () => number,
  seqs?: readonly Range[],
): Iterable<Changeset> {
  if (version > head || needed.has(version)) return []
  if (partials.has(version)) return reader.buffered(actor, version, seqs)
  return reader.whole(actor, site, version, chunkBytes, seqs)
}
