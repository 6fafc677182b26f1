import { type Changeset, type FullChangeset, isWhole } from '../changes/changeset.ts'

export interface Joined {
  readonly changeset: Changeset
  /** How many of the given changesets it stands for. */
  readonly parts: number
}

/**
 * The changesets in their order; neighbours that are all parts of one version, from first to last, become one
 * whole: so they need not be buffered. Most versions that are longer than a chunk come like that.
 */
export function* joinParts(changesets: readonly Changeset[]): Generator<Joined> {
  for (let at = 0; at < changesets.length; ) {
    const parts = partsOfOne(changesets, at)
    const first = changesets[at] as Changeset
    const run = changesets.slice(at, at + parts) as FullChangeset[]
    yield { changeset: parts === 1 ? first : joined(run), parts }
    at += parts
  }
}

/** How many from there on tile a version; 1 when they do not. */
function partsOfOne(changesets: readonly Changeset[], at: number): number {
  const first = changesets[at]
  if (first?.kind !== 'full' || first.seqs.start !== 0 || isWhole(first)) return 1
  const { actor, version, lastSeq, seqs } = first
  let end = seqs.end
  for (let next = at + 1; next < changesets.length; next += 1) {
    const part = changesets[next]
    if (part?.kind !== 'full' || part.actor !== actor || part.version !== version) return 1
    if (part.lastSeq !== lastSeq || part.seqs.start !== end + 1) return 1
    end = part.seqs.end
    if (end === lastSeq) return next - at + 1
  }
  return 1
}

function joined(parts: readonly FullChangeset[]): FullChangeset {
  const [first] = parts as [FullChangeset]
  const tables = parts.flatMap((part) => part.tables)
  return { ...first, seqs: { start: 0, end: first.lastSeq }, tables }
}
