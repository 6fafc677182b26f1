import type { ServerResponse } from 'node:http'
import { UserSqlError } from '../store/user-sql-error.ts'
import { SubscriptionError } from '../subscriptions/errors.ts'
import type { LiveQuery, QueryChange } from '../subscriptions/live-query.ts'
import type { LiveRow } from '../subscriptions/live-result.ts'
import { ApiError } from './api-error.ts'
import type { ApiHost } from './api-host.ts'
import type { RequestStatement } from './json-body.ts'
import { cellsJson } from './json-cells.ts'
import { LineStream } from './line-stream.ts'

export interface SubscribeOptions {
  /** Go on after this change; undefined or 0 for a snapshot first. */
  readonly from: number | undefined
  /** Changes only. */
  readonly skipRows: boolean
}

/** Changes that wait for a slow reader; beyond, its stream ends with an error that says how to go on. */
const WAITING_MAX = 10_240

/** @throws ApiError as the endpoint answers */
export function openSubscription(
  host: ApiHost,
  { sql, parameters }: RequestStatement,
  { from }: SubscribeOptions,
): LiveQuery {
  try {
    if (from !== undefined && from > 0) {
      const query = host.subscriptions.existing(sql, parameters)
      if (query !== undefined) return query
      throw ApiError.line(
        400,
        'a `from` query param was supplied, but no existing subscription found',
      )
    }
    return host.subscriptions.open(sql, parameters)
  } catch (error) {
    if (error instanceof UserSqlError && error.code === 'corrosion.sql_empty') {
      throw ApiError.line(500, 'could not expand sql statement')
    }
    const isKnown = error instanceof UserSqlError || error instanceof SubscriptionError
    throw isKnown ? ApiError.line(error.traits.status, error.what) : error
  }
}

/** Streams a live query until the reader goes, or is too slow. */
export async function streamSubscription(
  query: LiveQuery,
  { from, skipRows }: SubscribeOptions,
  response: ServerResponse,
): Promise<void> {
  response.writeHead(200, { 'corro-query-id': query.id, 'corro-query-hash': query.hash })
  response.flushHeaders()
  const stream = new LineStream(response)
  const reader = new Reader(query)
  try {
    if (from !== undefined && from > 0) reader.push(query.since(from))
    else if (!skipRows) await sendSnapshot(query, stream)
    await reader.copyTo(stream)
  } catch (error) {
    if (!(error instanceof SubscriptionError)) throw error
    stream.add(JSON.stringify({ error: error.what }))
  } finally {
    reader.leave(performance.now())
    await stream.end()
  }
}

/** The rows of this moment: what changes meanwhile waits behind them. */
async function sendSnapshot(query: LiveQuery, stream: LineStream): Promise<void> {
  const startMs = performance.now()
  const rows: LiveRow[] = [...query.rows].map(({ rowId, cells }) => ({ rowId, cells }))
  const { changeId } = query
  stream.add(JSON.stringify({ columns: query.columns }))
  for (const { rowId, cells } of rows) {
    if (stream.add(`{"row":[${rowId},${cellsJson(cells)}]}`)) await stream.flush()
    if (stream.closed.aborted) return
  }
  const time = (performance.now() - startMs) / 1_000
  stream.add(`{"eoq":{"time":${time},"change_id":${changeId}}}`)
  await stream.flush()
}

/** One reader's changes that are still to be sent. */
class Reader {
  readonly #query: LiveQuery
  #waiting: QueryChange[] = []
  #wake: (() => void) | undefined
  #lastSent = 0
  #hasLagged = false

  constructor(query: LiveQuery) {
    this.#query = query
    query.join(this)
    this.#lastSent = query.changeId
  }

  changed(changes: readonly QueryChange[]): void {
    if (this.#hasLagged) return
    if (this.#waiting.length + changes.length > WAITING_MAX) {
      this.#hasLagged = true
      this.#waiting = []
    } else this.#waiting.push(...changes)
    this.#wake?.()
  }

  push(changes: readonly QueryChange[]): void {
    this.#waiting.unshift(...changes)
  }

  /** @throws SubscriptionError corrosion.subscription_lagged */
  async copyTo(stream: LineStream): Promise<void> {
    stream.closed.addEventListener('abort', () => this.#wake?.())
    while (!stream.closed.aborted) {
      if (this.#hasLagged) throw lagged(this.#lastSent)
      for (const { kind, rowId, cells, changeId } of this.#waiting.splice(0, 256)) {
        stream.add(`{"change":["${kind}",${rowId},${cellsJson(cells)},${changeId}]}`)
        this.#lastSent = changeId
      }
      await stream.flush()
      if (this.#waiting.length === 0 && !this.#hasLagged && !stream.closed.aborted) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        this.#wake = undefined
      }
    }
  }

  leave(nowMs: number): void {
    this.#query.leave(this, nowMs)
  }
}

function lagged(lastSent: number): SubscriptionError {
  return new SubscriptionError('corrosion.subscription_lagged', {
    what: `reader lagged behind, subscribe again with from=${lastSent}`,
    values: { from: lastSent },
  })
}
