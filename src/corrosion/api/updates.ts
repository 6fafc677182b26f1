import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { SubscriptionError } from '../subscriptions/errors.ts'
import type { TableUpdate } from '../subscriptions/subscriptions.ts'
import { ApiError } from './api-error.ts'
import type { ApiHost } from './api-host.ts'
import { cellsJson } from './json-cells.ts'
import { LineStream } from './line-stream.ts'

/** Bytes that may wait in a connection before its reader counts as too slow. */
const WAITING_BYTES_MAX = 16 * 1_048_576

/**
 * Streams `{"notify":["update"|"delete",[key]]}` for each row of a table that is written, from now on, until the
 * reader goes or is too slow. @throws ApiError 400
 */
export async function streamUpdates(
  host: ApiHost,
  table: string,
  response: ServerResponse,
): Promise<void> {
  let stream: LineStream | undefined
  const tell = (updates: readonly TableUpdate[]) => {
    if (stream === undefined) return
    for (const { kind, key } of updates) stream.add(`{"notify":["${kind}",${cellsJson(key)}]}`)
    void stream.flush()
    if (response.writableLength <= WAITING_BYTES_MAX) return
    stream.add(JSON.stringify({ error: 'reader lagged behind, listen again and read the table' }))
    void stream.end()
  }
  using _listening = listen(host, table, tell)
  response.writeHead(200, { 'corro-query-id': randomUUID() })
  response.flushHeaders()
  stream = new LineStream(response)
  const { closed } = stream
  if (closed.aborted) return
  await new Promise<void>((resolve) => {
    closed.addEventListener('abort', () => resolve())
  })
}

function listen(host: ApiHost, table: string, tell: (updates: readonly TableUpdate[]) => void) {
  try {
    return host.subscriptions.listen(table, tell)
  } catch (error) {
    if (error instanceof SubscriptionError) {
      throw new ApiError(400, JSON.stringify({ error: error.what }), null)
    }
    throw error
  }
}
