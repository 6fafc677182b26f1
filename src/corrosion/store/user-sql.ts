import type { SqlValue } from '../changes/sql-value.ts'
import { type SqlToken, splitStatements } from '../schema/sql-tokens.ts'
import { UserSqlError } from './user-sql-error.ts'

/** Values for a statement's parameters: by place, or by name with its prefix (`:id`, `$id`, `@id`). */
export type Parameters = readonly SqlValue[] | ReadonlyMap<string, SqlValue>

/** One SQL statement of a user, with its parameters found. */
export interface UserSql {
  /** The statement with each parameter as a plain `?`. */
  readonly sql: string
  /** Which parameter each `?` is, from 0. */
  readonly occurrences: readonly number[]
  readonly parameterCount: number
  /** Names with prefix, and the parameter that each means. */
  readonly names: ReadonlyMap<string, number>
  readonly tokens: readonly SqlToken[]
}

/** @throws UserSqlError corrosion.sql_empty, corrosion.sql_several */
export function parseUserSql(text: string): UserSql {
  const [first, second] = splitStatements(text)
  if (first === undefined) {
    throw new UserSqlError('corrosion.sql_empty', { what: 'bad parameter or other API misuse' })
  }
  if (second !== undefined) {
    throw new UserSqlError('corrosion.sql_several', { what: 'Multiple statements provided' })
  }
  const occurrences: number[] = []
  const names = new Map<string, number>()
  let count = 0
  let sql = ''
  let copied = (first.tokens[0] as SqlToken).start
  for (const token of first.tokens) {
    if (token.kind !== 'other' || !/^[?:@$]./u.test(`${token.text} `)) continue
    if (token.text === ':' || token.text === '@' || token.text === '$') continue
    const parameter = parameterOf(token.text, count, names)
    count = Math.max(count, parameter + 1)
    occurrences.push(parameter)
    sql += `${text.slice(copied, token.start)}?`
    copied = token.end
  }
  sql += text.slice(copied, (first.tokens.at(-1) as SqlToken).end)
  return { sql, occurrences, parameterCount: count, names, tokens: first.tokens }
}

function parameterOf(text: string, count: number, names: Map<string, number>): number {
  if (text === '?') return count
  if (/^\?\d+$/.test(text)) return Number(text.slice(1)) - 1
  const known = names.get(text)
  if (known !== undefined) return known
  names.set(text, count)
  return count
}

/** Values in the order of the `?`. @throws UserSqlError corrosion.sql_parameters */
export function bindings(parsed: UserSql, parameters: Parameters): SqlValue[] {
  const values: SqlValue[] = Array(parsed.parameterCount).fill(null)
  if (parameters instanceof Map) {
    for (const [name, value] of parameters as ReadonlyMap<string, SqlValue>) {
      const at = parsed.names.get(name)
      if (at === undefined) throw wrongParameters(`Invalid parameter name: ${name}`)
      values[at] = value
    }
  } else {
    const list = parameters as readonly SqlValue[]
    if (list.length !== parsed.parameterCount) {
      throw wrongParameters(
        `Wrong number of parameters passed to query. Got ${list.length}, needed ${parsed.parameterCount}`,
      )
    }
    for (const [at, value] of list.entries()) values[at] = value
  }
  return parsed.occurrences.map((parameter) => values[parameter] ?? null)
}

/** The statement with its values written into it: equal for equal meaning. */
export function expandSql(text: string, parameters: Parameters): string {
  const parsed = parseUserSql(text)
  const list = parameters instanceof Map ? parameters : padded(parsed, parameters)
  const values = bindings(parsed, list)
  let at = 0
  return parsed.sql.replaceAll('?', (mark, offset: number) =>
    isMark(parsed, offset) ? literal(values[at++] ?? null) : mark,
  )
}

/** Parameters that are not given are NULL. */
function padded({ parameterCount }: UserSql, parameters: Parameters): Parameters {
  const list = [...(parameters as readonly SqlValue[])]
  while (list.length < parameterCount) list.push(null)
  return list
}

/** Whether the `?` there is a parameter, not a part of a string or a name. */
function isMark(parsed: UserSql, offset: number): boolean {
  const [statement] = splitStatements(parsed.sql)
  return statement?.tokens.some(({ text, start }) => start === offset && text === '?') === true
}

function literal(value: SqlValue): string {
  if (value === null) return 'NULL'
  if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString('hex')}'`
  if (typeof value === 'bigint') return `${value}`
  if (Number.isInteger(value)) return `${value}.0`
  return Number.isFinite(value) ? `${value}` : value > 0 ? '9e999' : '-9e999'
}

function wrongParameters(what: string): UserSqlError {
  return new UserSqlError('corrosion.sql_parameters', { what })
}
