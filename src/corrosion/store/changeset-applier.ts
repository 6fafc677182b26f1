import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { ActorId } from '../changes/actor-id.ts'
import { type Changeset, type FullChangeset, isWhole } from '../changes/changeset.ts'
import type { Range } from '../changes/range-set.ts'
import type { ApplyOutcome } from '../changes/replica.ts'
import { CorrosionError } from '../errors.ts'
import type { ActorVersions, BookkeepingDraft } from './bookkeeping.ts'
import type { TouchedRow } from './local-versions.ts'
import type { WriterFlags } from './open-database.ts'
import type { RemoteChanges } from './remote-changes.ts'
import type { RemoteVersion } from './remote-version.ts'
import type { Sites } from './sites.ts'

/** Takes others' changesets over, within a transaction of the store's: each whole, or nothing of it. */
export class ChangesetApplier {
  readonly #database: DatabaseSync
  readonly #begin: StatementSync
  readonly #end: StatementSync
  readonly #flags: WriterFlags
  readonly #sites: Sites
  readonly #remote: RemoteChanges

  constructor(database: DatabaseSync, flags: WriterFlags, sites: Sites, remote: RemoteChanges) {
    this.#database = database
    this.#begin = database.prepare('SAVEPOINT changeset')
    this.#end = database.prepare('RELEASE changeset')
    this.#flags = flags
    this.#sites = sites
    this.#remote = remote
  }

  /** Applies one changeset, or none of it. `draft` and `touched` learn what it was. */
  apply(changeset: Changeset, draft: BookkeepingDraft, touched: TouchedRow[]): ApplyOutcome {
    if (draft.knows(changeset)) return { kind: 'known' }
    if (changeset.kind === 'empty') {
      this.#forgetParts(changeset.actor, draft.of(changeset.actor), changeset.versions)
      draft.markKnown(changeset.actor, changeset.versions)
      return { kind: 'applied' }
    }
    const mark = touched.length
    this.#begin.run()
    this.#flags.isMerging = true
    try {
      const kind = this.#applyFull(changeset, draft, touched)
      this.#end.run()
      return { kind }
    } catch (error) {
      if (isFatal(error)) throw error
      this.#database.exec('ROLLBACK TO changeset; RELEASE changeset')
      touched.length = mark
      return { kind: 'refused', error: error as Error }
    } finally {
      this.#flags.isMerging = false
    }
  }

  #applyFull(
    changeset: FullChangeset,
    draft: BookkeepingDraft,
    touched: TouchedRow[],
  ): 'applied' | 'buffered' {
    const { actor, version, lastSeq, ts, tables } = changeset
    const remote: RemoteVersion = { site: this.#sites.ordinalOf(actor), version, lastSeq, ts }
    if (isWhole(changeset)) {
      this.#remote.merge(remote, tables, touched)
      if (draft.of(actor)?.partials.has(version) === true) {
        this.#remote.forgetBuffered(actor, version)
      }
    } else {
      const known = draft.of(actor)?.partials.get(version)
      if (known !== undefined && known.lastSeq !== lastSeq) throw lastSeqChanged(changeset)
      this.#remote.buffer(changeset)
      const isLast = isCompletedBy(known?.seqs.missing(0, lastSeq) ?? [], changeset)
      if (!isLast) {
        draft.markPart(changeset)
        return 'buffered'
      }
      this.#remote.mergeBuffered(actor, remote, touched)
    }
    draft.markKnown(actor, { start: version, end: version })
    return 'applied'
  }

  #forgetParts(actor: ActorId, versions: ActorVersions | undefined, { start, end }: Range): void {
    for (const version of versions?.partials.keys() ?? []) {
      if (version >= start && version <= end) this.#remote.forgetBuffered(actor, version)
    }
  }
}

/** What is missing of a version lies within this part of it. */
function isCompletedBy(missing: readonly Range[], { seqs, lastSeq }: FullChangeset): boolean {
  if (missing.length === 0) return seqs.start === 0 && seqs.end >= lastSeq
  return missing.every(({ start, end }) => start >= seqs.start && end <= seqs.end)
}

function lastSeqChanged({ actor, version, lastSeq }: FullChangeset): CorrosionError {
  return new CorrosionError('corrosion.change_unfit', {
    what: 'the parts of a version disagree on its length',
    values: { actor, version, lastSeq },
  })
}

/** SQLite's primary result codes that speak of the data, not of the disk or of memory. */
const ERROR = 1
const TOOBIG = 18
const CONSTRAINT = 19
const MISMATCH = 20

function isFatal(error: unknown): boolean {
  if (error instanceof CorrosionError) return false
  const code = (error as { errcode?: number }).errcode
  if (code === undefined) return true
  return ![ERROR, TOOBIG, CONSTRAINT, MISMATCH].includes(code & 0xff)
}
