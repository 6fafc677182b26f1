import { quoteName } from '../schema/sql-tokens.ts'
import { ApiError } from './api-error.ts'
import type { ApiHost } from './api-host.ts'
import type { QueryString } from './query-string.ts'

/** Rows of all tables named together, and the names that are no tables. */
export function tableStats(host: ApiHost, tables: readonly string[]): string {
  let total = 0
  const invalid: string[] = []
  for (const table of tables) {
    const isTable = host.store.database
      .prepare(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?`)
      .get(table)
    if (isTable === undefined) invalid.push(table)
    else {
      const count = host.store.database.prepare(`SELECT count(*) AS n FROM ${quoteName(table)}`)
      total += count.get()?.['n'] as number
    }
  }
  return JSON.stringify({ total_row_count: total, invalid_tables: invalid })
}

/** @throws ApiError 503, or the status that the request names, when a threshold is passed */
export function healthReport(host: ApiHost, query: QueryString): string {
  const limits = {
    gaps: query.integer('gaps'),
    p99Lag: query.real('p99_lag'),
    queue: query.integer('queue_size') ?? query.integer('max_queue'),
  }
  const asked = query.count('failure_status')
  const failed = asked !== undefined && asked >= 100 && asked <= 999 ? asked : 503
  const { gaps, members, p99Lag, queueSize } = host.health()
  if (p99Lag === undefined) {
    throw ApiError.json(failed, { error: 'no p99 lag information available' })
  }
  const response = { gaps, members, p99_lag: p99Lag, queue_size: queueSize }
  const isOver =
    (limits.gaps !== undefined && gaps > limits.gaps) ||
    (limits.p99Lag !== undefined && p99Lag > limits.p99Lag) ||
    (limits.queue !== undefined && queueSize > limits.queue)
  if (isOver) throw ApiError.json(failed, { response })
  return JSON.stringify({ response })
}
