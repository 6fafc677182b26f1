import type { ServerResponse } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import { isWord, sqlTokens } from '../schema/sql-tokens.ts'
import { UserSqlError } from '../store/user-sql-error.ts'
import { ApiError } from './api-error.ts'
import type { ApiHost } from './api-host.ts'
import type { RequestStatement } from './json-body.ts'
import { cellsJson } from './json-cells.ts'
import { LineStream } from './line-stream.ts'

/** A long result lets others have the event loop after this many milliseconds. */
const SLICE_MS = 5

/**
 * Streams a query's rows: `{"columns"}`, `{"row"}`..., `{"eoq"}`; an error on the way takes the place of the
 * end. What may take long between two rows runs in a process of its own; for the rest `timeoutMs` (0: none) is
 * looked at between rows.
 * @throws ApiError before anything was sent
 */
export async function streamQuery(
  host: ApiHost,
  statement: RequestStatement,
  timeoutMs: number,
  response: ServerResponse,
): Promise<void> {
  const stream = new LineStream(response)
  const startMs = performance.now()
  const begin = (columns: readonly string[]) => {
    response.writeHead(200)
    stream.add(JSON.stringify({ columns }))
  }
  try {
    if (isBounded(statement.sql)) await runHere(host, statement, timeoutMs, { stream, begin })
    else await runApart(host, statement, timeoutMs, { stream, begin })
    stream.add(`{"eoq":{"time":${(performance.now() - startMs) / 1_000}}}`)
  } catch (error) {
    if (!response.headersSent) throw asApiError(error)
    stream.add(
      JSON.stringify({
        error: error instanceof UserSqlError ? error.what : (error as Error).message,
      }),
    )
  }
  await stream.end()
}

interface Target {
  readonly stream: LineStream
  readonly begin: (columns: readonly string[]) => void
}

async function runHere(
  host: ApiHost,
  { sql, parameters }: RequestStatement,
  timeoutMs: number,
  { stream, begin }: Target,
): Promise<void> {
  using query = host.readers.open(sql, parameters)
  begin(query.columns)
  const deadlineMs = timeoutMs === 0 ? Infinity : performance.now() + timeoutMs
  await copyRows(query.rows, stream, deadlineMs)
}

async function runApart(
  host: ApiHost,
  statement: RequestStatement,
  timeoutMs: number,
  { stream, begin }: Target,
): Promise<void> {
  const rows = async (lines: string) => {
    stream.add(lines.slice(0, -1))
    await stream.flush()
  }
  await host.queryProcesses.run(statement, timeoutMs, { columns: begin, rows }, stream.closed)
}

/** One SELECT over at most one table: a step of it takes no longer than a walk through that table. */
function isBounded(sql: string): boolean {
  let selects = 0
  let depth = 0
  let isInFrom = false
  for (const token of sqlTokens(sql)) {
    if (isWord(token, 'SELECT')) selects += 1
    if (isWord(token, 'WITH', 'JOIN', 'UNION', 'EXCEPT', 'INTERSECT')) return false
    if (token.text === '(') depth += 1
    if (token.text === ')') depth -= 1
    if (depth > 0) continue
    if (isWord(token, 'FROM')) isInFrom = true
    else if (isWord(token, 'WHERE', 'GROUP', 'ORDER', 'LIMIT', 'HAVING')) isInFrom = false
    else if (isInFrom && token.text === ',') return false
  }
  return selects <= 1
}

async function copyRows(
  rows: ReturnType<ApiHost['readers']['open']>['rows'],
  stream: LineStream,
  deadlineMs: number,
): Promise<void> {
  let sliceEndMs = performance.now() + SLICE_MS
  for (let rowId = 1; !stream.closed.aborted; rowId += 1) {
    const { done, value } = rows.next()
    if (done === true) return
    if (stream.add(`{"row":[${rowId},${cellsJson(value)}]}`)) await stream.flush()
    const nowMs = performance.now()
    if (nowMs > deadlineMs) {
      throw new UserSqlError('corrosion.sql_timeout', { what: 'interrupted' })
    }
    if (nowMs > sliceEndMs) {
      await turn()
      sliceEndMs = performance.now() + SLICE_MS
    }
  }
}

function asApiError(error: unknown): ApiError {
  if (!(error instanceof UserSqlError)) return ApiError.line(500, (error as Error).message)
  if (error.code === 'corrosion.sql_parameters') return ApiError.line(500, error.what)
  return ApiError.line(error.traits.status, error.what)
}
