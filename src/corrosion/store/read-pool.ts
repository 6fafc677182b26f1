import { constants, type DatabaseSync, type StatementSync } from 'node:sqlite'
import type { SqlValue } from '../changes/sql-value.ts'
import { type DatabaseOptions, openReader } from './open-database.ts'
import { bindings, type Parameters, parseUserSql } from './user-sql.ts'
import { UserSqlError } from './user-sql-error.ts'

/** A query that has begun. `rows` reads as it is asked; `close` must be called. */
export interface OpenQuery extends Disposable {
  readonly columns: readonly string[]
  readonly rows: Iterator<readonly SqlValue[]>
}

const READERS_MAX = 20

/** Settings that only tell. */
const PRAGMAS = new Set([
  'table_info',
  'table_xinfo',
  'table_list',
  'index_list',
  'index_info',
  'index_xinfo',
  'foreign_key_list',
  'user_version',
  'page_count',
  'page_size',
  'freelist_count',
])

/**
 * Connections for reading. A query that is read slowly keeps its connection, and with it the state of the
 * database at its start, to itself.
 */
export class ReadPool implements Disposable {
  readonly #options: DatabaseOptions
  readonly #free: DatabaseSync[] = []
  #openCount = 0

  constructor(options: DatabaseOptions) {
    this.#options = options
  }

  /** @throws UserSqlError */
  open(sql: string, parameters: Parameters): OpenQuery {
    const parsed = parseUserSql(sql)
    const values = bindings(parsed, parameters)
    const connection = this.#take()
    try {
      const statement = prepareReading(connection, parsed.sql)
      const rows = statement.iterate(...values) as Iterator<unknown> as Iterator<SqlValue[]>
      return {
        columns: statement.columns().map(({ name }) => name),
        rows,
        [Symbol.dispose]: () => {
          rows.return?.()
          this.#give(connection)
        },
      }
    } catch (error) {
      this.#give(connection)
      throw error
    }
  }

  [Symbol.dispose](): void {
    for (const connection of this.#free.splice(0)) connection.close()
  }

  #take(): DatabaseSync {
    const free = this.#free.pop()
    if (free !== undefined) return free
    if (this.#openCount >= READERS_MAX) {
      throw new UserSqlError('corrosion.readers_busy', {
        what: 'all connections for reading are taken',
        values: { connections: READERS_MAX },
        fix: 'read answers faster, or ask again later',
      })
    }
    const connection = openReader(this.#options)
    connection.setAuthorizer((action, first, second) =>
      isReading(action, first, second) ? constants.SQLITE_OK : constants.SQLITE_DENY,
    )
    this.#openCount += 1
    return connection
  }

  #give(connection: DatabaseSync): void {
    this.#free.push(connection)
  }
}

/** @throws UserSqlError corrosion.sql_not_readonly, corrosion.sql_failed */
export function prepareReading(connection: DatabaseSync, sql: string): StatementSync {
  try {
    const statement = connection.prepare(sql)
    statement.setReturnArrays(true)
    statement.setReadBigInts(true)
    return statement
  } catch (cause) {
    const { message } = cause as Error
    if (message === 'not authorized' || /prohibited|readonly/.test(message)) {
      throw new UserSqlError('corrosion.sql_not_readonly', {
        what: 'statement is not readonly',
        cause,
      })
    }
    throw new UserSqlError('corrosion.sql_failed', { what: message, cause })
  }
}

function isReading(action: number, first: string | null, second: string | null): boolean {
  switch (action) {
    case constants.SQLITE_SELECT:
    case constants.SQLITE_READ:
    case constants.SQLITE_RECURSIVE:
      return true
    case constants.SQLITE_FUNCTION:
      return second !== 'load_extension'
    case constants.SQLITE_PRAGMA:
      return PRAGMAS.has((first ?? '').toLowerCase())
    default:
      return false
  }
}
