import { constants, DatabaseSync } from 'node:sqlite'
import { packKey } from '../changes/packed-key.ts'
import type { SqlValue } from '../changes/sql-value.ts'
import { isInternal } from '../schema/read-tables.ts'
import { decodeClock } from './row-clock.ts'

export interface DatabaseOptions {
  /** A file, or `:memory:`. */
  readonly path: string
  /** @default 65,536 */
  readonly cacheKib?: number
  /**
   * `normal` survives the death of the process; `full` survives the loss of power as well, at an fsync a
   * commit; `off` only the end of a test. @default normal
   */
  readonly synchronous?: 'off' | 'normal' | 'full'
}

const CACHE_KIB = 65_536
const BUSY_MS = 5_000

/** Switches of a writing connection. */
export interface WriterFlags {
  /** A merge is writing: triggers do not record. */
  isMerging: boolean
  /** A user's statement is being prepared: only reading and writing rows is allowed. */
  isGuarded: boolean
}

/** The connection that writes, with the functions that triggers and `crsql_changes` call. */
export function openWriter(options: DatabaseOptions, flags: WriterFlags): DatabaseSync {
  const database = new DatabaseSync(options.path, { timeout: BUSY_MS })
  database.exec(`
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = ${options.synchronous ?? 'normal'};
    PRAGMA recursive_triggers = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA journal_size_limit = ${1 << 30};
    PRAGMA cache_size = -${options.cacheKib ?? CACHE_KIB};`)
  database.function('crsql_internal_sync_bit', () => (flags.isMerging ? 1 : 0))
  definePure(database)
  defineIdentity(database)
  database.setAuthorizer((action, first, second, _schema, source) => {
    if (!flags.isGuarded || isAllowed(action, first, second, source)) return constants.SQLITE_OK
    return constants.SQLITE_DENY
  })
  return database
}

/** A connection for reading. */
export function openReader({ path, cacheKib }: DatabaseOptions): DatabaseSync {
  const database = new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS })
  database.exec(`PRAGMA cache_size = -${cacheKib ?? CACHE_KIB}; PRAGMA temp_store = MEMORY;`)
  definePure(database)
  defineIdentity(database)
  return database
}

const SELF = `coalesce((SELECT value FROM crsql_master WHERE key = 'self'), 0)`

/** `crsql_site_id()` and `crsql_db_version()`, as far as the log is settled. */
function defineIdentity(database: DatabaseSync): void {
  let site: Uint8Array | undefined
  database.function('crsql_site_id', () => {
    site ??= database.prepare(`SELECT site_id FROM crsql_site_id WHERE ordinal = ${SELF}`).get()?.[
      'site_id'
    ] as Uint8Array
    return site
  })
  database.function('crsql_db_version', () => {
    const head = database
      .prepare(`SELECT db_version FROM crsql_db_versions WHERE site = ${SELF}`)
      .get()
    return BigInt((head?.['db_version'] as number | undefined) ?? 0)
  })
}

function definePure(database: DatabaseSync): void {
  const pure = { deterministic: true, useBigIntArguments: true }
  const variadic = { ...pure, varargs: true }
  database.function('crsql_pack_columns', variadic, (...values) => packKey(values as SqlValue[]))
  database.function('corro_json_contains', { deterministic: true }, (selector, object) =>
    contains(JSON.parse(String(selector)), JSON.parse(String(object))) ? 1n : 0n,
  )
  database.function('crsql_row_clock', { deterministic: true, varargs: true }, (...row) =>
    clockJson(row as SqlValue[]),
  )
}

function clockJson(row: SqlValue[]): string {
  const list = [...decodeClock(row).all()].map(([ordinal, clock]) => {
    return [ordinal, clock.colVersion, clock.site, clock.version, clock.seq]
  })
  return JSON.stringify(list)
}

const reading: ReadonlySet<number> = new Set([
  constants.SQLITE_SELECT,
  constants.SQLITE_READ,
  constants.SQLITE_FUNCTION,
  constants.SQLITE_RECURSIVE,
])

const writing: ReadonlySet<number> = new Set([
  constants.SQLITE_INSERT,
  constants.SQLITE_UPDATE,
  constants.SQLITE_DELETE,
])

/** Rows may be read and written; transactions, schema, other databases and our own tables not. */
function isAllowed(
  action: number,
  first: string | null,
  second: string | null,
  source: string | null,
): boolean {
  if (reading.has(action)) {
    const isLoading = action === constants.SQLITE_FUNCTION && second === 'load_extension'
    return !isLoading
  }
  if (!writing.has(action)) return false
  return source !== null || (first !== null && !isInternal(first))
}

/** Whether an object has all that the selector names, at any depth. */
function contains(selector: unknown, object: unknown): boolean {
  if (typeof selector !== 'object' || selector === null) return selector === object
  if (typeof object !== 'object' || object === null) return false
  return Object.entries(selector).every(([name, value]) =>
    contains(value, (object as Record<string, unknown>)[name]),
  )
}
