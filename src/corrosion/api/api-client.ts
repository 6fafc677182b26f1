import { UserSqlError } from '../store/user-sql-error.ts'
import { parseBody } from './json-body.ts'

export type QueryEvent =
  | { readonly kind: 'columns'; readonly columns: readonly string[] }
  | {
      readonly kind: 'row'
      readonly columns: readonly string[]
      /** Integers are bigints, other numbers numbers, blobs lists of bigints. */
      readonly cells: readonly unknown[]
    }

/** What a parameter may be. Whole numbers are integers, blobs arrays of bytes. */
export type ApiValue = string | number | null | readonly number[]

export interface ApiCallOptions {
  /** After so long the agent gives up. */
  readonly timeoutSeconds?: number | undefined
  readonly signal?: AbortSignal
}

/** A small client of the HTTP API, for the command line, for flyd, and for tests. */
export class ApiClient {
  readonly #url: string
  readonly #headers: Readonly<Record<string, string>>

  constructor({ url, bearerToken }: { readonly url: string; readonly bearerToken?: string }) {
    this.#url = url
    const authorization =
      bearerToken === undefined ? {} : { authorization: `Bearer ${bearerToken}` }
    this.#headers = { 'content-type': 'application/json', ...authorization }
  }

  /** @throws UserSqlError corrosion.sql_failed with what the agent says */
  async *query(
    sql: string,
    parameters: readonly ApiValue[],
    options: ApiCallOptions = {},
  ): AsyncGenerator<QueryEvent> {
    const response = await this.#post('/v1/queries', [sql, parameters], options)
    let columns: readonly string[] = []
    for await (const line of lines(response)) {
      const event = parseBody(line) as Record<string, unknown>
      if (event['error'] !== undefined) throw failed(String(event['error']))
      if (event['columns'] !== undefined) {
        columns = event['columns'] as string[]
        yield { kind: 'columns', columns }
      } else if (event['row'] !== undefined) {
        yield { kind: 'row', columns, cells: (event['row'] as [bigint, unknown[]])[1] }
      } else if (event['eoq'] !== undefined) return
    }
    throw failed('the answer of the agent was cut off')
  }

  /** @throws UserSqlError corrosion.sql_failed with what the agent says */
  async execute(
    sql: string,
    parameters: readonly ApiValue[],
    options: ApiCallOptions = {},
  ): Promise<{ readonly rowsAffected: number; readonly version: number | null }> {
    return await this.transaction([[sql, parameters]], options)
  }

  /** All statements or none. @throws UserSqlError corrosion.sql_failed with what the agent says */
  async transaction(
    statements: readonly (readonly [sql: string, parameters: readonly ApiValue[]])[],
    options: ApiCallOptions = {},
  ): Promise<{ readonly rowsAffected: number; readonly version: number | null }> {
    const response = await this.#post('/v1/transactions', statements, options)
    const { results, version } = (await response.json()) as {
      results: { rows_affected?: number; error?: string }[]
      version: number | null
    }
    const error = results.find((one) => one.error !== undefined)?.error
    if (error !== undefined) throw failed(error)
    const rowsAffected = results.reduce((sum, one) => sum + (one.rows_affected ?? 0), 0)
    return { rowsAffected, version }
  }

  async #post(
    path: string,
    body: unknown,
    { timeoutSeconds, signal }: ApiCallOptions,
  ): Promise<Response> {
    const query = timeoutSeconds === undefined ? '' : `?timeout=${timeoutSeconds}`
    let response: Response
    try {
      response = await fetch(`${this.#url}${path}${query}`, {
        method: 'POST',
        headers: this.#headers,
        body: JSON.stringify(body),
        ...(signal === undefined ? {} : { signal }),
      })
    } catch (cause) {
      signal?.throwIfAborted()
      throw new UserSqlError('corrosion.sql_failed', {
        what: `error sending request for url (${this.#url}${path})`,
        fix: 'start the agent (godwit corrosion agent -c FILE), or name its API with --api-addr',
        cause,
      })
    }
    const isSql = response.status === 400 || response.status === 500
    if (response.ok || isSql) return response
    throw failed(`the agent answered ${response.status}: ${(await response.text()) || 'no reason'}`)
  }
}

/** A row as an object that JSON can hold: integers beyond 2^53 become text. */
export function asObject(columns: readonly string[], cells: readonly unknown[]): object {
  const plain = (cell: unknown): unknown => {
    if (Array.isArray(cell)) return cell.map(Number)
    if (typeof cell !== 'bigint') return cell
    return Number.isSafeInteger(Number(cell)) ? Number(cell) : String(cell)
  }
  return Object.fromEntries(columns.map((name, at) => [name, plain(cells[at])]))
}

async function* lines(response: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of response.body ?? []) {
    const parts = `${rest}${decoder.decode(chunk as Uint8Array, { stream: true })}`.split('\n')
    rest = parts.pop() ?? ''
    yield* parts
  }
  if (rest !== '') yield rest
}

function failed(what: string): UserSqlError {
  return new UserSqlError('corrosion.sql_failed', { what })
}
