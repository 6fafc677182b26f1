import type { SqlValue } from '../changes/sql-value.ts'
import type { Parameters } from '../store/user-sql.ts'
import { ApiError } from './api-error.ts'

/** A statement as requests give it. */
export interface RequestStatement {
  readonly sql: string
  readonly parameters: Parameters
}

/** Text in which each number is a small whole one: JavaScript's own parser loses nothing of it. */
const NEEDS_CARE = /[0-9][.eE]|[0-9]{16}|-0/
const INT64_MIN = -(2n ** 63n)
const INT64_MAX = 2n ** 63n - 1n

/**
 * JSON with integers as bigints (exact) and other numbers as numbers. Integers beyond 64 bits become
 * numbers, as SQLite would read them. @throws ApiError 400
 */
export function parseBody(text: string): unknown {
  try {
    if (!NEEDS_CARE.test(text)) return JSON.parse(text, exactSmall)
    return JSON.parse(text, exact as (key: string, value: unknown) => unknown)
  } catch (cause) {
    if (cause instanceof ApiError) throw cause
    throw malformed((cause as Error).message)
  }
}

function exactSmall(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? BigInt(value) : value
}

function exact(_key: string, value: unknown, { source }: { source?: string }): unknown {
  if (typeof value !== 'number' || source === undefined) return value
  if (!Number.isFinite(value)) throw malformed('number out of range')
  if (!/^-?\d+$/.test(source) || source === '-0') return value
  const whole = BigInt(source)
  return whole >= INT64_MIN && whole <= INT64_MAX ? whole : value
}

/** @throws ApiError 422 */
export function statementsOf(body: unknown): RequestStatement[] {
  if (!Array.isArray(body))
    throw wrongShape(`invalid type: ${nameOfType(body)}, expected a sequence`)
  return body.map((item, at) => {
    const statement = readStatement(item)
    if (statement === undefined) throw wrongShape(`[${at}]: ${NO_STATEMENT} at line 1 column 1`)
    return statement
  })
}

/** @throws ApiError 422 */
export function statementOf(body: unknown): RequestStatement {
  const statement = readStatement(body)
  if (statement === undefined) throw wrongShape(NO_STATEMENT)
  return statement
}

/** The tables that a request for statistics names. @throws ApiError 422 */
export function tablesOf(body: unknown): string[] {
  const tables = isRecord(body) ? body['tables'] : undefined
  if (tables === undefined) throw wrongShape('missing field `tables` at line 1 column 2')
  if (Array.isArray(tables) && tables.every((name) => typeof name === 'string')) return tables
  throw wrongShape('tables: expected a sequence of strings')
}

const NO_STATEMENT = 'data did not match any variant of untagged enum Statement'

/** `"SQL"`, `["SQL", [...]]`, `["SQL", {...}]`, `{query, params?, named_params?}`. */
function readStatement(item: unknown): RequestStatement | undefined {
  if (typeof item === 'string') return { sql: item, parameters: [] }
  if (Array.isArray(item)) {
    const [sql, given] = item
    if (item.length !== 2 || typeof sql !== 'string') return undefined
    const parameters = Array.isArray(given) ? readList(given) : readNamed(given)
    return parameters && { sql, parameters }
  }
  if (!isRecord(item) || typeof item['query'] !== 'string') return undefined
  const { params, named_params: named } = item
  if (params !== undefined && params !== null) {
    const list = Array.isArray(params) ? readList(params) : undefined
    return list && { sql: item['query'], parameters: list }
  }
  if (named === undefined || named === null) return { sql: item['query'], parameters: [] }
  const parameters = readNamed(named)
  return parameters && { sql: item['query'], parameters }
}

function readList(list: readonly unknown[]): SqlValue[] | undefined {
  const values = list.map(readValue)
  return values.includes(undefined) ? undefined : (values as SqlValue[])
}

function readNamed(given: unknown): Map<string, SqlValue> | undefined {
  if (!isRecord(given)) return undefined
  const named = new Map<string, SqlValue>()
  for (const [name, item] of Object.entries(given)) {
    const value = readValue(item)
    if (value === undefined) return undefined
    named.set(name, value)
  }
  return named
}

/** undefined for what is no value: objects, and lists of anything but bytes. */
function readValue(item: unknown): SqlValue | undefined {
  if (item === null || typeof item === 'string') return item
  if (typeof item === 'bigint' || typeof item === 'number') return item
  if (typeof item === 'boolean') return item ? 1n : 0n
  if (!Array.isArray(item)) return undefined
  const areBytes = item.every((byte) => typeof byte === 'bigint' && byte >= 0n && byte <= 255n)
  return areBytes ? Uint8Array.from(item as bigint[], Number) : undefined
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function nameOfType(value: unknown): string {
  if (value === null) return 'null'
  return isRecord(value) ? 'map' : typeof value
}

function malformed(detail: string): ApiError {
  return ApiError.text(400, `Failed to parse the request body as JSON: ${detail}`)
}

function wrongShape(detail: string): ApiError {
  return ApiError.text(422, `Failed to deserialize the JSON body into the target type: ${detail}`)
}
