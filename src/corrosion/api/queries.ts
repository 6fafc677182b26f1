import type { ServerResponse } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
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
 * end. `timeoutMs` is looked at between rows.
 * @throws ApiError before anything was sent
 */
export async function streamQuery(
  host: ApiHost,
  { sql, parameters }: RequestStatement,
  timeoutMs: number,
  response: ServerResponse,
): Promise<void> {
  using query = openQuery(host, { sql, parameters })
  response.writeHead(200)
  const stream = new LineStream(response)
  const deadlineMs = timeoutMs === 0 ? Infinity : performance.now() + timeoutMs
  stream.add(JSON.stringify({ columns: query.columns }))
  const startMs = performance.now()
  try {
    await copyRows(query.rows, stream, deadlineMs)
    stream.add(`{"eoq":{"time":${(performance.now() - startMs) / 1_000}}}`)
  } catch (error) {
    stream.add(JSON.stringify({ error: (error as Error).message }))
  }
  await stream.end()
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

function openQuery(host: ApiHost, { sql, parameters }: RequestStatement) {
  try {
    return host.readers.open(sql, parameters)
  } catch (error) {
    if (!(error instanceof UserSqlError)) throw ApiError.line(500, (error as Error).message)
    if (error.code === 'corrosion.sql_parameters') throw ApiError.line(500, error.what)
    throw ApiError.line(error.traits.status, error.what)
  }
}
