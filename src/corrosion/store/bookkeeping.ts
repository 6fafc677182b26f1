import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { type ActorId, actorIdBytes, actorIdOf } from '../changes/actor-id.ts'
import type { Changeset, FullChangeset } from '../changes/changeset.ts'
import { type Range, RangeSet } from '../changes/range-set.ts'

/** Seqs of a version that came in parts. */
export interface PartialVersion {
  readonly seqs: RangeSet
  readonly lastSeq: number
  readonly ts: bigint
}

/** What is known of one actor's versions: all up to `head`, without `needed` and `partials`. */
export interface ActorVersions {
  head: number
  readonly needed: RangeSet
  readonly partials: Map<number, PartialVersion>
}

/**
 * Which versions of which actor are here. In memory, with its tables in step: changes are made on a
 * draft inside the transaction that brings the data, and count once that has committed.
 */
export class Bookkeeping {
  readonly #database: DatabaseSync
  readonly #writes: Writes
  readonly #actors = new Map<ActorId, ActorVersions>()

  constructor(database: DatabaseSync) {
    this.#database = database
    this.#writes = {
      raiseHead: database.prepare(
        `INSERT INTO crsql_db_versions (site, db_version) VALUES (?, ?)
         ON CONFLICT DO UPDATE SET db_version = max(db_version, excluded.db_version)`,
      ),
      clearGaps: database.prepare(`DELETE FROM __corro_bookkeeping_gaps WHERE actor_id = ?`),
      insertGap: database.prepare(`INSERT INTO __corro_bookkeeping_gaps VALUES (?, ?, ?)`),
    }
    this.#load()
  }

  actors(): ReadonlyMap<ActorId, ActorVersions> {
    return this.#actors
  }

  of(actor: ActorId): ActorVersions | undefined {
    return this.#actors.get(actor)
  }

  /** Own versions are never missing: the head is all there is to say. */
  setOwnHead(actor: ActorId, head: number): void {
    const known = this.#actors.get(actor)
    if (known !== undefined) known.head = Math.max(known.head, head)
    else if (head > 0) this.#actors.set(actor, blank(head))
  }

  draft(): BookkeepingDraft {
    return new BookkeepingDraft(this.#writes, this.#actors)
  }

  adopt(draft: BookkeepingDraft): void {
    for (const [actor, versions] of draft.changed()) this.#actors.set(actor, versions)
  }

  #load(): void {
    const heads = this.#rows(
      `SELECT s.site_id, v.db_version FROM crsql_db_versions v
       JOIN crsql_site_id s ON s.ordinal = v.site`,
    )
    for (const [actor, head] of heads) this.#at(actor as Uint8Array).head = head as number
    const gaps = this.#rows(`SELECT actor_id, start, "end" FROM __corro_bookkeeping_gaps`)
    for (const [actor, start, end] of gaps) {
      this.#at(actor as Uint8Array).needed.add(start as number, end as number)
    }
    const statement = this.#database.prepare(
      `SELECT site_id, db_version, start_seq, end_seq, last_seq, ts FROM __corro_buffered_changes`,
    )
    statement.setReturnArrays(true)
    statement.setReadBigInts(true)
    for (const row of statement.all() as unknown as [Uint8Array, ...bigint[]][]) {
      const [version, start, end, lastSeq] = row.slice(1, 5).map(Number) as [
        number,
        number,
        number,
        number,
      ]
      const { partials } = this.#at(row[0])
      const ts = BigInt.asUintN(64, row[5] as bigint)
      const partial = partials.get(version) ?? { seqs: new RangeSet(), lastSeq, ts }
      partial.seqs.add(start, end)
      partials.set(version, partial)
    }
    for (const versions of this.#actors.values()) {
      versions.head = Math.max(
        versions.head,
        versions.needed.last ?? 0,
        ...versions.partials.keys(),
      )
    }
  }

  #rows(sql: string): unknown[][] {
    const statement = this.#database.prepare(sql)
    statement.setReturnArrays(true)
    return statement.all() as unknown as unknown[][]
  }

  #at(site: Uint8Array): ActorVersions {
    const actor = actorIdOf(site)
    const known = this.#actors.get(actor) ?? blank(0)
    this.#actors.set(actor, known)
    return known
  }
}

interface Writes {
  readonly raiseHead: StatementSync
  readonly clearGaps: StatementSync
  readonly insertGap: StatementSync
}

/** Changes of one transaction to the bookkeeping. */
export class BookkeepingDraft {
  readonly #writes: Writes
  readonly #base: ReadonlyMap<ActorId, ActorVersions>
  readonly #changed = new Map<ActorId, ActorVersions>()

  constructor(writes: Writes, base: ReadonlyMap<ActorId, ActorVersions>) {
    this.#writes = writes
    this.#base = base
  }

  changed(): ReadonlyMap<ActorId, ActorVersions> {
    return this.#changed
  }

  of(actor: ActorId): ActorVersions | undefined {
    return this.#changed.get(actor) ?? this.#base.get(actor)
  }

  knows(changeset: Changeset): boolean {
    const versions = this.of(changeset.actor)
    if (versions === undefined) return false
    return changeset.kind === 'empty'
      ? knowsVersions(versions, changeset.versions)
      : knowsPart(versions, changeset)
  }

  /** These versions are here for good. */
  markKnown(actor: ActorId, { start, end }: Range): void {
    const versions = this.#edit(actor)
    this.#reach(versions, start, end)
    versions.needed.remove(start, end)
    for (const version of versions.partials.keys()) {
      if (version >= start && version <= end) versions.partials.delete(version)
    }
  }

  /** A part of a version is here. Returns what is here of it now. */
  markPart(changeset: FullChangeset): PartialVersion {
    const { actor, version, seqs, lastSeq, ts } = changeset
    const versions = this.#edit(actor)
    this.#reach(versions, version, version)
    versions.needed.remove(version, version)
    const partial = versions.partials.get(version) ?? { seqs: new RangeSet(), lastSeq, ts }
    partial.seqs.add(seqs.start, seqs.end)
    versions.partials.set(version, partial)
    return partial
  }

  /** Writes heads and gaps of the actors touched; buffered parts are written with their data. */
  write(ordinalOf: (actor: ActorId) => number): void {
    const { raiseHead, clearGaps, insertGap } = this.#writes
    for (const [actor, versions] of this.#changed) {
      raiseHead.run(ordinalOf(actor), versions.head)
      const before = this.#base.get(actor)?.needed
      if (before === undefined ? versions.needed.isEmpty : sameRanges(before, versions.needed))
        continue
      const site = actorIdBytes(actor)
      clearGaps.run(site)
      for (const { start, end } of versions.needed) insertGap.run(site, start, end)
    }
  }

  /** Versions up to this one are heard of: those skipped are gaps. */
  #reach(versions: ActorVersions, start: number, end: number): void {
    if (start > versions.head + 1) versions.needed.add(versions.head + 1, start - 1)
    versions.head = Math.max(versions.head, end)
  }

  #edit(actor: ActorId): ActorVersions {
    const known = this.#changed.get(actor)
    if (known !== undefined) return known
    const base = this.#base.get(actor)
    const copy = base === undefined ? blank(0) : copied(base)
    this.#changed.set(actor, copy)
    return copy
  }
}

/** Whether all of these versions are here, whole. */
export function knowsVersions(versions: ActorVersions, { start, end }: Range): boolean {
  if (end > versions.head || versions.needed.within(start, end).length > 0) return false
  for (const version of versions.partials.keys()) {
    if (version >= start && version <= end) return false
  }
  return true
}

function knowsPart(versions: ActorVersions, { version, seqs }: FullChangeset): boolean {
  if (version > versions.head || versions.needed.has(version)) return false
  const partial = versions.partials.get(version)
  return partial === undefined || partial.seqs.contains(seqs.start, seqs.end)
}

const blank = (head: number): ActorVersions => ({
  head,
  needed: new RangeSet(),
  partials: new Map(),
})

function copied({ head, needed, partials }: ActorVersions): ActorVersions {
  const parts = [...partials].map(([version, { seqs, lastSeq, ts }]) => {
    return [version, { seqs: seqs.clone(), lastSeq, ts }] as const
  })
  return { head, needed: needed.clone(), partials: new Map(parts) }
}

function sameRanges(a: RangeSet, b: RangeSet): boolean {
  if (a.rangeCount !== b.rangeCount) return false
  const others = b.toArray()
  return a.toArray().every(({ start, end }, at) => {
    return others[at]?.start === start && others[at]?.end === end
  })
}
