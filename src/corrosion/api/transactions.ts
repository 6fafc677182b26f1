import { bindings, parseUserSql, type UserSql } from '../store/user-sql.ts'
import { UserSqlError } from '../store/user-sql-error.ts'
import { ApiError } from './api-error.ts'
import type { ApiHost } from './api-host.ts'
import type { RequestStatement } from './json-body.ts'

interface StatementResult {
  readonly rows_affected: number
  /** Seconds. */
  readonly time: number
}

const PARSED_MAX = 512
const parsedStatements = new Map<string, UserSql>()

/**
 * Runs statements as one transaction: all of them or none. `timeoutMs` is looked at between statements.
 * @returns the answer's JSON
 * @throws ApiError 500 with one error for the whole list, 400 for an empty list or a forbidden statement
 */
export function runTransaction(
  host: ApiHost,
  statements: readonly RequestStatement[],
  timeoutMs: number | undefined,
): string {
  const startMs = performance.now()
  if (statements.length === 0) {
    throw refused(host, 400, 'at least 1 statement is required')
  }
  try {
    const deadlineMs = timeoutMs === undefined ? Infinity : startMs + timeoutMs
    const { result, version } = host.transaction(() =>
      statements.map((statement) => {
        if (performance.now() > deadlineMs) {
          throw new UserSqlError('corrosion.sql_timeout', { what: 'interrupted' })
        }
        return runOne(host, statement)
      }),
    )
    const time = (performance.now() - startMs) / 1_000
    return JSON.stringify({ results: result, time, version, actor_id: host.actor })
  } catch (error) {
    if (error instanceof UserSqlError && error.code === 'corrosion.sql_forbidden') {
      throw refused(host, 400, error.what)
    }
    const text = error instanceof UserSqlError ? error.what : (error as Error).message
    throw refused(host, 500, `rusqlite: ${text} (actor_id: None, version: None)`)
  }
}

function runOne(host: ApiHost, { sql, parameters }: RequestStatement): StatementResult {
  const startMs = performance.now()
  const parsed = parsedOf(sql)
  const statement = prepare(host, parsed)
  if (statement.columns().length > 0) {
    throw new UserSqlError('corrosion.sql_returns_rows', {
      what: 'Execute returned results - did you mean to call query?',
    })
  }
  const { changes } = statement.run(...bindings(parsed, parameters))
  return { rows_affected: Number(changes), time: (performance.now() - startMs) / 1_000 }
}

function prepare(host: ApiHost, { sql }: UserSql) {
  try {
    return host.store.statement(sql)
  } catch (cause) {
    const { message } = cause as Error
    if (/^not authorized|prohibited|may not be modified/.test(message)) {
      throw new UserSqlError('corrosion.sql_forbidden', {
        what: 'this statement is not allowed: a transaction reads and writes rows, and nothing else',
        cause,
      })
    }
    throw cause
  }
}

function parsedOf(sql: string): UserSql {
  const known = parsedStatements.get(sql)
  if (known !== undefined) return known
  const parsed = parseUserSql(sql)
  const [oldest] = parsedStatements.keys()
  if (parsedStatements.size >= PARSED_MAX && oldest !== undefined) parsedStatements.delete(oldest)
  parsedStatements.set(sql, parsed)
  return parsed
}

function refused(host: ApiHost, status: number, error: string): ApiError {
  const answer = { results: [{ error }], time: 0.0, version: null, actor_id: host.actor }
  // A real that is zero, as clients have always seen it.
  const body = JSON.stringify(answer).replace('"time":0,', '"time":0.0,')
  return new ApiError(status, body, 'application/json')
}
