import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import { type ActorId, actorIdOf } from '../changes/actor-id.ts'
import type { Changeset, TableChanges } from '../changes/changeset.ts'
import type { Range } from '../changes/range-set.ts'
import type { ApplyOutcome, Replica } from '../changes/replica.ts'
import type { SqlValue } from '../changes/sql-value.ts'
import type { Need, SyncState } from '../changes/sync-state.ts'
import { CorrosionError } from '../errors.ts'
import type { MigrationStep } from '../schema/plan-migration.ts'
import { type ActorVersions, Bookkeeping } from './bookkeeping.ts'
import { ChangesetApplier } from './changeset-applier.ts'
import { serveNeed } from './changeset-server.ts'
import { EarlyChanges } from './early-changes.ts'
import { joinParts } from './join-parts.ts'
import { type LocalVersion, LocalVersions, type TouchedRow } from './local-versions.ts'
import { LogCompactor } from './log-compactor.ts'
import { migrate, replicatedTables, tableIds } from './migrate.ts'
import { type DatabaseOptions, openWriter, type WriterFlags } from './open-database.ts'
import { RemoteChanges } from './remote-changes.ts'
import type { RemoteVersion } from './remote-version.ts'
import { ReplicatedTable } from './replicated-table.ts'
import { FORMAT, STORE_SQL } from './shadow-schema.ts'
import { Sites } from './sites.ts'
import { VersionReader } from './version-reader.ts'

export interface StoreOptions extends DatabaseOptions {
  /** The time of a commit, as NTP64. */
  readonly now: () => bigint
  /** For a new database. @default a random one */
  readonly newActorId?: () => ActorId
}

export interface Committed<T> {
  readonly result: T
  /** The version that the transaction made; null when it changed nothing. */
  readonly version: number | null
}

/** What became visible since the last call of `settle`. */
export interface Settled {
  /** Own versions, to be told to others. */
  readonly versions: readonly LocalVersion[]
  /** Rows written by own and by others' versions. May name a row more than once. */
  readonly touched: readonly TouchedRow[]
}

/** Statements of users that are kept prepared. */
const STATEMENTS_MAX = 512

/**
 * Replicated tables in one SQLite database. Every node has all rows and may write any; what meets is merged
 * by the rules of cr-sqlite, see merge-row.ts. One writer, synchronous calls, each a transaction.
 */
export class Store implements Replica {
  readonly #database: DatabaseSync
  readonly #begin: StatementSync
  readonly #commit: StatementSync
  readonly #flags: WriterFlags
  readonly #now: () => bigint
  readonly #sites: Sites
  readonly #tables = new Map<string, ReplicatedTable>()
  readonly #tablesById = new Map<number, ReplicatedTable>()
  readonly #statements = new Map<string, StatementSync>()
  readonly #early: EarlyChanges
  #bookkeeping: Bookkeeping
  #local: LocalVersions
  #remote: RemoteChanges
  #applier: ChangesetApplier
  #reader: VersionReader
  #compactor: LogCompactor
  /** What `settle` will tell, whoever settled it. */
  #versions: LocalVersion[] = []
  #touched: TouchedRow[] = []

  /** @throws CorrosionError corrosion.format_unknown, and what SQLite says of the file */
  constructor(options: StoreOptions) {
    this.#now = options.now
    this.#flags = { isMerging: false, isGuarded: false }
    this.#database = openWriter(options, this.#flags)
    this.#database.exec(STORE_SQL)
    this.#begin = this.#database.prepare('BEGIN IMMEDIATE')
    this.#commit = this.#database.prepare('COMMIT')
    checkFormat(this.#database)
    this.#defineMerge()
    this.#sites = new Sites(this.#database, options.newActorId)
    this.#loadTables()
    this.#bookkeeping = new Bookkeeping(this.#database)
    this.#early = new EarlyChanges(this.#database)
    this.#local = new LocalVersions(this.#database, this.#tableOf, this.#sites.selfOrdinal)
    this.#remote = new RemoteChanges(this.#database, this.#tables, this.#sites, this.#early)
    this.#applier = new ChangesetApplier(this.#database, this.#flags, this.#sites, this.#remote)
    this.#reader = new VersionReader(this.#database, this.#tableOf, this.#early)
    this.#compactor = new LogCompactor(this.#database, this.#tableOf)
    if (this.#local.hasUnsettled) this.#inTransaction(() => this.#settleLocal())
    this.#bookkeeping.setOwnHead(this.actor, this.#local.head)
  }

  get actor(): ActorId {
    return this.#sites.self
  }

  /** The newest own version, 0 before the first. */
  get head(): number {
    return this.#local.head
  }

  /** For reading, and for tools; writing past `transaction` makes a version at its next call. */
  get database(): DatabaseSync {
    return this.#database
  }

  get tables(): ReadonlyMap<string, ReplicatedTable> {
    return this.#tables
  }

  get bookkeeping(): ReadonlyMap<ActorId, ActorVersions> {
    return this.#bookkeeping.actors()
  }

  /**
   * Runs `work` as one transaction, all or nothing. What it prepares through `statement` may read and write
   * rows, and nothing else.
   * @throws whatever `work` throws; nothing is written then.
   */
  transaction<T>(work: () => T): Committed<T> {
    const committed = this.#inTransaction(() => {
      const result = work()
      return { result, version: this.#local.seal(this.#now()) }
    })
    if (committed.version !== null) this.#bookkeeping.setOwnHead(this.actor, committed.version)
    return committed
  }

  /** A user's statement, kept prepared. @throws what SQLite says; `not authorized` for a forbidden one */
  statement(sql: string): StatementSync {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    this.#flags.isGuarded = true
    let statement: StatementSync
    try {
      statement = this.#database.prepare(sql)
    } finally {
      this.#flags.isGuarded = false
    }
    const [oldest] = this.#statements.keys()
    if (this.#statements.size >= STATEMENTS_MAX && oldest !== undefined) {
      this.#statements.delete(oldest)
    }
    this.#statements.set(sql, statement)
    return statement
  }

  /** Works out what commits since the last call mean. Cheap when nothing was written. */
  settle(): Settled {
    if (this.#local.hasUnsettled) this.#inTransaction(() => this.#settleLocal())
    const settled = { versions: this.#versions, touched: this.#touched }
    this.#versions = []
    this.#touched = []
    return settled
  }

  /** Own versions as changesets for peers. */
  ownChangesets(version: number, chunkBytes: number): Iterable<Changeset> {
    if (this.#local.hasUnsettled) this.#inTransaction(() => this.#settleLocal())
    return this.#reader.whole(this.actor, this.#sites.selfOrdinal, version, () => chunkBytes)
  }

  /**
   * Takes the database to a schema, given as the text of its files together. Rows are kept, and none is sent
   * again. @throws SchemaError; the schema is as before then.
   */
  migrate(schemaSql: string): MigrationStep[] {
    const steps = this.#inTransaction(() => {
      this.#settleLocal()
      const taken = migrate(this.#database, schemaSql)
      this.#local.seal(this.#now()) // rows of an adopted table
      return taken
    })
    if (steps.length === 0) return steps
    this.#statements.clear()
    this.#loadTables()
    this.#local = new LocalVersions(this.#database, this.#tableOf, this.#sites.selfOrdinal)
    this.#remote = new RemoteChanges(this.#database, this.#tables, this.#sites, this.#early)
    this.#applier = new ChangesetApplier(this.#database, this.#flags, this.#sites, this.#remote)
    this.#reader = new VersionReader(this.#database, this.#tableOf, this.#early)
    this.#compactor = new LogCompactor(this.#database, this.#tableOf)
    this.#bookkeeping.setOwnHead(this.actor, this.#local.head)
    this.#mergeEarly()
    return steps
  }

  knows(changeset: Changeset): boolean {
    return this.#bookkeeping.draft().knows(changeset)
  }

  apply(changesets: readonly Changeset[]): ApplyOutcome[] {
    const draft = this.#bookkeeping.draft()
    const touched: TouchedRow[] = []
    const outcomes = this.#inTransaction(() => {
      this.#settleLocal()
      const results: ApplyOutcome[] = []
      for (const { changeset, parts } of joinParts(changesets)) {
        const outcome = this.#applier.apply(changeset, draft, touched)
        for (let part = 0; part < parts; part += 1) results.push(outcome)
      }
      this.#local.skipLog()
      draft.write((actor) => this.#sites.ordinalOf(actor))
      return results
    })
    this.#bookkeeping.adopt(draft)
    // Versions of our own that this disk has lost came back: number on behind them.
    if (draft.changed().has(this.actor)) this.#local.reload()
    for (const row of touched) this.#touched.push(row)
    return outcomes
  }

  syncState(): SyncState {
    const heads = new Map<ActorId, number>()
    const need = new Map<ActorId, readonly Range[]>()
    const partialNeed = new Map<ActorId, ReadonlyMap<number, readonly Range[]>>()
    for (const [actor, { head, needed, partials }] of this.#bookkeeping.actors()) {
      heads.set(actor, head)
      if (!needed.isEmpty) need.set(actor, needed.toArray())
      if (partials.size === 0) continue
      const missing = [...partials].map(([version, { seqs, lastSeq }]) => {
        return [version, seqs.missing(0, lastSeq)] as const
      })
      partialNeed.set(actor, new Map(missing))
    }
    return { actor: this.actor, heads, need, partialNeed }
  }

  *serve(actor: ActorId, need: Need, chunkBytes: () => number): Generator<Changeset> {
    if (this.#local.hasUnsettled) this.#inTransaction(() => this.#settleLocal())
    const site = this.#sites.known(actor)
    const versions = this.#bookkeeping.of(actor)
    if (site === undefined || versions === undefined) return
    yield* serveNeed(this.#reader, { actor, site, versions }, need, chunkBytes)
  }

  /** The last seq of a version that is here; undefined when nothing of it is left. */
  lastSeqOf(actor: ActorId, version: number): number | undefined {
    const row = this.#database
      .prepare(`SELECT max(last_seq) AS last FROM crsql_versions WHERE site = ? AND db_version = ?`)
      .get(this.#sites.known(actor) ?? -1, version)
    return (row?.['last'] as number | null) ?? undefined
  }

  /** Actors of whom memory and tables say different things: none, unless something is broken. */
  bookkeepingDifferences(): ActorId[] {
    if (this.#local.hasUnsettled) this.#inTransaction(() => this.#settleLocal())
    const stored = new Bookkeeping(this.#database).actors()
    const known = this.#bookkeeping.actors()
    const shown = (versions: ActorVersions | undefined) =>
      JSON.stringify([
        versions?.head,
        versions?.needed.toArray(),
        [...(versions?.partials.keys() ?? [])],
      ])
    const actors = new Set([...stored.keys(), ...known.keys()])
    return [...actors].filter((actor) => shown(stored.get(actor)) !== shown(known.get(actor)))
  }

  /**
   * Looks at up to `entries` rows of the log, from where it stopped last, and drops those that say nothing any
   * more: all that they wrote has been overwritten. Returns how many it dropped.
   */
  compact(entries: number): number {
    if (this.#local.hasUnsettled) this.#inTransaction(() => this.#settleLocal())
    return this.#inTransaction(() => this.#compactor.run(entries))
  }

  close(): void {
    this.#database.close()
  }

  /** Changes that came before their table or column did. */
  #mergeEarly(): void {
    const touched: TouchedRow[] = []
    this.#inTransaction(() => {
      this.#settleLocal()
      this.#flags.isMerging = true
      try {
        for (const { origin, tables } of this.#early.takeAll()) {
          this.#remote.merge(origin, tables, touched)
        }
      } finally {
        this.#flags.isMerging = false
      }
      this.#local.skipLog()
    })
    for (const row of touched) this.#touched.push(row)
  }

  #settleLocal(): void {
    const { versions, touched } = this.#local.settle()
    for (const version of versions) this.#versions.push(version)
    for (const row of touched) this.#touched.push(row)
  }

  #inTransaction<T>(work: () => T): T {
    const versions = this.#versions.length
    const touched = this.#touched.length
    this.#begin.run()
    try {
      const result = work()
      this.#commit.run()
      return result
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      this.#versions.length = versions // what was settled within is to be settled again
      this.#touched.length = touched
      this.#sites.reload(this.#database)
      this.#local.reload()
      throw error
    }
  }

  /** The function behind `INSERT INTO crsql_changes`. */
  #defineMerge(): void {
    const merge = (...values: unknown[]) => this.#mergeChange(values as SqlValue[])
    const options = { varargs: true, useBigIntArguments: true }
    this.#database.function('crsql_merge_change', options, merge as () => SQLInputValue)
  }

  #mergeChange(values: SqlValue[]): number {
    const [table, pk, cid, val, colVersion, version, site, cl, seq, ts] = values
    if (this.#local.hasUnsealed) {
      throw new CorrosionError('corrosion.merge_mixed', {
        what: 'the transaction has written rows before it merges changes',
        fix: 'merge in a transaction of its own',
      })
    }
    this.#settleLocal()
    const change = { cid: cid as string, val: val as SqlValue, colVersion: Number(colVersion) }
    const columns = [{ ...change, cl: Number(cl), seq: Number(seq) }]
    const tables: TableChanges[] = [
      { table: table as string, rows: [{ pk: pk as Uint8Array, columns }] },
    ]
    const origin: RemoteVersion = {
      site: this.#sites.ordinalOf(actorIdOf(site as Uint8Array)),
      version: Number(version),
      lastSeq: Number(seq),
      ts: BigInt((ts as string | null) ?? 0),
    }
    this.#flags.isMerging = true
    try {
      this.#remote.merge(origin, tables, this.#touched)
    } finally {
      this.#flags.isMerging = false
    }
    this.#local.skipLog()
    return 1
  }

  #loadTables(): void {
    const ids = tableIds(this.#database)
    this.#tables.clear()
    this.#tablesById.clear()
    for (const shape of replicatedTables(this.#database)) {
      const table = new ReplicatedTable(this.#database, ids.get(shape.name) as number, shape)
      this.#tables.set(shape.name, table)
      this.#tablesById.set(table.id, table)
    }
  }

  readonly #tableOf = (id: number): ReplicatedTable => this.#tablesById.get(id) as ReplicatedTable
}

function checkFormat(database: DatabaseSync): void {
  const set = database.prepare(
    `INSERT INTO crsql_master VALUES ('format', ?) ON CONFLICT DO NOTHING`,
  )
  set.run(FORMAT)
  const { value } = database
    .prepare(`SELECT value FROM crsql_master WHERE key = 'format'`)
    .get() as { value: unknown }
  if (value === FORMAT) return
  throw new CorrosionError('corrosion.format_unknown', {
    what: 'the database was written by another layout of the store',
    values: { format: value, known: FORMAT },
    fix: 'run the version of godwit that wrote it, or start with an empty database and let it sync',
  })
}
