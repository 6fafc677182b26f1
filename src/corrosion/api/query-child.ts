/**
 * Runs queries for an agent in a process of its own, one at a time, so that one that never ends can be ended:
 * by killing this. Messages from the agent: a QueryJob, then `more` for each piece that it has passed on.
 */
import type { SqlValue } from '../changes/sql-value.ts'
import { ReadPool } from '../store/read-pool.ts'
import type { Parameters } from '../store/user-sql.ts'
import { UserSqlError, type UserSqlErrorCode } from '../store/user-sql-error.ts'
import { cellsJson } from './json-cells.ts'

export interface QueryJob {
  readonly kind: 'run'
  readonly path: string
  readonly sql: string
  readonly parameters: Parameters
}

export type QueryEvent =
  | { readonly kind: 'columns'; readonly columns: readonly string[] }
  /** Whole lines. */
  | { readonly kind: 'rows'; readonly lines: string }
  | { readonly kind: 'end' }
  /** `code`: the query could not begin; without: it failed on the way. */
  | { readonly kind: 'error'; readonly message: string; readonly code?: UserSqlErrorCode }

const PIECE_BYTES = 65_536

let pool: ReadPool | undefined
let wake: (() => void) | undefined

process.on('disconnect', () => process.exit())
process.on('message', (message: QueryJob | 'more') => {
  if (message === 'more') wake?.()
  else void run(message)
})

async function run({ path, sql, parameters }: QueryJob): Promise<void> {
  pool ??= new ReadPool({ path })
  let query: ReturnType<ReadPool['open']>
  try {
    query = pool.open(sql, parameters)
  } catch (error) {
    const code = error instanceof UserSqlError ? error.code : 'corrosion.sql_failed'
    const message = error instanceof UserSqlError ? error.what : (error as Error).message
    send({ kind: 'error', message, code })
    return
  }
  send({ kind: 'columns', columns: query.columns })
  try {
    await copy(query.rows)
    send({ kind: 'end' })
  } catch (error) {
    send({ kind: 'error', message: (error as Error).message })
  } finally {
    query[Symbol.dispose]()
  }
}

/** Sends rows in pieces, each once the one before was passed on. What came before an error is sent, too. */
async function copy(rows: Iterator<readonly SqlValue[]>): Promise<void> {
  let lines = ''
  try {
    for (let rowId = 1; ; rowId += 1) {
      const { done, value } = rows.next()
      if (done === true) return
      lines += `{"row":[${rowId},${cellsJson(value)}]}\n`
      if (lines.length < PIECE_BYTES) continue
      await passOn(lines)
      lines = ''
    }
  } finally {
    if (lines !== '') await passOn(lines)
  }
}

async function passOn(lines: string): Promise<void> {
  const passedOn = new Promise<void>((resolve) => {
    wake = resolve
  })
  send({ kind: 'rows', lines })
  await passedOn
}

function send(event: QueryEvent): void {
  process.send?.(event)
}
