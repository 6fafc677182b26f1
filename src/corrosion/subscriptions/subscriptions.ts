import type { Clock } from '#base'
import { isInternal } from '../schema/read-tables.ts'
import { isWord, nameOf } from '../schema/sql-tokens.ts'
import type { TouchedRow } from '../store/local-versions.ts'
import type { Store } from '../store/store.ts'
import { expandSql, type Parameters, parseUserSql, type UserSql } from '../store/user-sql.ts'
import { UserSqlError } from '../store/user-sql-error.ts'
import { SubscriptionError } from './errors.ts'
import { LiveQuery } from './live-query.ts'
import { RerunResult, RowwiseResult } from './live-result.ts'
import { rowwiseShape } from './query-shape.ts'

/** A row of a table was written. */
export interface TableUpdate {
  readonly kind: 'update' | 'delete'
  readonly key: TouchedRow['key']
}

export type TableListener = (updates: readonly TableUpdate[]) => void

const QUERIES_MAX = 1_024
const IDLE_MS = 600_000

/** All live queries of a node. Equal SQL is kept once, however many listen. */
export class Subscriptions {
  readonly #store: Store
  readonly #clock: Clock
  readonly #bySql = new Map<string, LiveQuery>()
  readonly #byId = new Map<string, LiveQuery>()
  readonly #listeners = new Map<number, Set<TableListener>>()
  #timer: Disposable | undefined

  constructor(store: Store, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  queries(): Iterable<LiveQuery> {
    return this.#byId.values()
  }

  byId(id: string): LiveQuery | undefined {
    return this.#byId.get(id)
  }

  /** The live query of this statement if somebody has asked for it already. */
  existing(sql: string, parameters: Parameters): LiveQuery | undefined {
    return this.#bySql.get(expandSql(sql, parameters))
  }

  /**
   * @throws SubscriptionError corrosion.subscription_unfit, corrosion.subscription_limit
   * @throws UserSqlError corrosion.sql_failed and others
   */
  open(sql: string, parameters: Parameters = []): LiveQuery {
    const expanded = expandSql(sql, parameters)
    const known = this.#bySql.get(expanded)
    if (known !== undefined) return known
    this.#dropIdle()
    if (this.#bySql.size >= QUERIES_MAX) {
      throw new SubscriptionError('corrosion.subscription_limit', {
        what: 'too many different queries are subscribed to',
        values: { queries: QUERIES_MAX },
      })
    }
    const query = this.#make(expanded)
    this.#bySql.set(expanded, query)
    this.#byId.set(query.id, query)
    query.idleSinceMs = this.#clock.monotonicMs()
    return query
  }

  /** Tells every write of a table's rows. @throws SubscriptionError corrosion.subscription_unfit */
  listen(tableName: string, listener: TableListener): Disposable {
    const table = this.#store.tables.get(tableName)
    if (table === undefined) throw unfit(`table not found in schema: ${tableName}`)
    const listeners = this.#listeners.get(table.id) ?? new Set()
    this.#listeners.set(table.id, listeners.add(listener))
    return { [Symbol.dispose]: () => listeners.delete(listener) }
  }

  /** Rows were written by commits that are visible now. */
  committed(touched: readonly TouchedRow[]): void {
    if (touched.length === 0) return
    const byTable = Map.groupBy(touched, ({ table }) => table.id)
    const nowMs = this.#clock.monotonicMs()
    for (const query of this.#byId.values()) {
      const own = [...query.tableIds].flatMap((id) => byTable.get(id) ?? [])
      if (own.length > 0) query.note(own, nowMs)
    }
    for (const [tableId, rows] of byTable) this.#tellListeners(tableId, rows)
    this.#wakeLater()
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]()
  }

  #make(sql: string): LiveQuery {
    const parsed = parseUserSql(sql)
    checkKind(parsed)
    const { tables, database } = this.#store
    try {
      const columns = database.prepare(sql).columns()
      const read = [...tables.values()].filter(({ name }) => mentions(parsed, name))
      if (read.length === 0) throw unfit('at least 1 table is required in FROM / JOIN clause')
      const shape = rowwiseShape(sql, tables)
      return new LiveQuery({
        sql,
        columns: columns.map(({ name }) => name),
        tableIds: new Set(read.map(({ id }) => id)),
        result:
          shape === undefined ? new RerunResult(database, sql) : new RowwiseResult(database, shape),
        isRerun: shape === undefined,
      })
    } catch (cause) {
      if (cause instanceof SubscriptionError) throw cause
      throw new UserSqlError('corrosion.sql_failed', { what: (cause as Error).message, cause })
    }
  }

  #tellListeners(tableId: number, rows: readonly TouchedRow[]): void {
    const listeners = this.#listeners.get(tableId)
    if (listeners === undefined || listeners.size === 0) return
    const updates = new Map<string, TableUpdate>()
    for (const { table, key } of rows) {
      const id = Buffer.from(table.packed(key)).toString('latin1')
      if (updates.has(id)) continue
      const isAlive = table.clockOf(key)?.isAlive === true
      updates.set(id, { kind: isAlive ? 'update' : 'delete', key })
    }
    const list = [...updates.values()]
    for (const listener of listeners) listener(list)
  }

  /** Queries that waited because they are dear get their turn. */
  #wakeLater(): void {
    const dueAtMs = Math.min(...this.#byId.values().map((query) => query.dueAtMs), Infinity)
    if (dueAtMs === Infinity || this.#timer !== undefined) return
    const waitMs = Math.max(1, dueAtMs - this.#clock.monotonicMs())
    this.#timer = this.#clock.setTimer(() => {
      this.#timer = undefined
      const nowMs = this.#clock.monotonicMs()
      for (const query of this.#byId.values()) query.runDue(nowMs)
      this.#wakeLater()
    }, waitMs)
  }

  #dropIdle(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const [sql, query] of this.#bySql) {
      const isIdle = query.idleSinceMs !== undefined && nowMs - query.idleSinceMs > IDLE_MS
      if (!isIdle) continue
      this.#bySql.delete(sql)
      this.#byId.delete(query.id)
    }
  }
}

function checkKind({ tokens }: UserSql): void {
  if (isWord(tokens[0], 'VALUES')) {
    throw unfit('at least 1 table is required in FROM / JOIN clause')
  }
  // One that never ends would hold the agent.
  if (tokens.some((token) => isWord(token, 'RECURSIVE'))) throw unfit('unsupported statement')
  const isOther = isWord(tokens[0], 'PRAGMA', 'EXPLAIN', 'BEGIN', 'COMMIT', 'ATTACH', 'VACUUM')
  const writes = tokens.some((token, at) => {
    return isWord(token, 'INSERT', 'UPDATE', 'DELETE', 'REPLACE') && tokens[at + 1]?.text !== '('
  })
  if (isOther || writes) throw unfit('unsupported statement')
  for (const token of tokens) {
    if (token.kind !== 'word' && token.kind !== 'quoted') continue
    const name = nameOf(token)
    if (isInternal(name)) throw unfit(`table not found in schema: ${name}`)
  }
}

/** Whether the statement may read that table: too often yes does no harm. */
function mentions({ tokens }: UserSql, table: string): boolean {
  const lower = table.toLowerCase()
  return tokens.some(
    (token) =>
      (token.kind === 'word' || token.kind === 'quoted') && nameOf(token).toLowerCase() === lower,
  )
}

function unfit(what: string): SubscriptionError {
  return new SubscriptionError('corrosion.subscription_unfit', { what })
}
