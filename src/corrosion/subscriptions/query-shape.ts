import { isWord, nameOf, quoteName, type SqlToken, sqlTokens } from '../schema/sql-tokens.ts'
import type { ReplicatedTable } from '../store/replicated-table.ts'

/** One table in FROM. */
export interface Source {
  readonly alias: string
  readonly table: ReplicatedTable
}

/**
 * A query whose result rows each stem from one row of each table: what becomes of them can be told by
 * looking only at rows that were written.
 */
export interface RowwiseShape {
  readonly sources: readonly Source[]
  /** Selects the keys of all sources, then what the query selects, of all rows. */
  readonly allSql: string
  /** The same, of the rows that stem from one row of that source; its key is the parameters. */
  readonly ofRowSql: ReadonlyMap<Source, string>
}

const CLAUSES = ['WHERE', 'GROUP', 'HAVING', 'WINDOW', 'ORDER', 'LIMIT']
const REFUSED = [
  'UNION',
  'EXCEPT',
  'INTERSECT',
  'GROUP',
  'HAVING',
  'WINDOW',
  'LIMIT',
  'OVER',
  'DISTINCT',
]
const AGGREGATES =
  /^(count|sum|total|avg|min|max|group_concat|string_agg|json_group_array|json_group_object|jsonb_group_array|jsonb_group_object|median|percentile|percentile_cont|percentile_disc|first_value|last_value)$/i

/**
 * The rowwise shape of a SELECT without parameters; undefined for any other query: with an aggregate, DISTINCT,
 * GROUP BY, LIMIT, a sub-select, an outer join, a compound. Those are run again as a whole.
 */
export function rowwiseShape(
  sql: string,
  tables: ReadonlyMap<string, ReplicatedTable>,
): RowwiseShape | undefined {
  const tokens = [...sqlTokens(sql)].filter(({ text }) => text !== ';')
  if (!isWord(tokens[0], 'SELECT') || tokens.some((token, at) => isUnfit(token, at, tokens))) {
    return undefined
  }
  const top = topLevel(tokens)
  const from = top.find((at) => isWord(tokens[at], 'FROM'))
  if (from === undefined) return undefined
  const afterFrom = top.filter((at) => at > from)
  const fromEnd = afterFrom.find((at) => isWord(tokens[at], ...CLAUSES)) ?? tokens.length
  const sources = readSources(tokens.slice(from + 1, fromEnd), tables)
  if (sources === undefined || sources.length === 0) return undefined
  return compose(sql, tokens, { from, fromEnd, top, sources })
}

function isUnfit(token: SqlToken, at: number, tokens: readonly SqlToken[]): boolean {
  if (at > 0 && isWord(token, 'SELECT', 'VALUES', 'WITH')) return true
  if (isWord(token, ...REFUSED)) return true
  return token.kind === 'word' && AGGREGATES.test(token.text) && tokens[at + 1]?.text === '('
}

/** Indexes of tokens outside all parentheses. */
function topLevel(tokens: readonly SqlToken[]): number[] {
  const found: number[] = []
  let depth = 0
  for (const [at, { text }] of tokens.entries()) {
    if (text === ')') depth -= 1
    if (depth === 0) found.push(at)
    if (text === '(') depth += 1
  }
  return found
}

/** `t [AS a] {, | [INNER | CROSS] JOIN} ...`; undefined for anything else. */
function readSources(
  tokens: readonly SqlToken[],
  tables: ReadonlyMap<string, ReplicatedTable>,
): Source[] | undefined {
  const sources: Source[] = []
  let at = 0
  while (at < tokens.length) {
    const name = tokens[at]
    if (name === undefined || (name.kind !== 'word' && name.kind !== 'quoted')) return undefined
    const table = tables.get(nameOf(name)) ?? findTable(tables, nameOf(name))
    if (table === undefined) return undefined
    at += 1
    let alias = table.name
    if (isWord(tokens[at], 'AS')) at += 1
    const next = tokens[at]
    const isAlias =
      (next?.kind === 'word' || next?.kind === 'quoted') &&
      !isWord(next, 'JOIN', 'INNER', 'CROSS', 'ON', 'USING', 'LEFT', 'RIGHT', 'FULL', 'NATURAL') &&
      !isWord(next, 'INDEXED', 'NOT')
    if (isAlias) {
      alias = nameOf(next)
      at += 1
    }
    sources.push({ alias, table })
    const joined = skipJoin(tokens, at)
    if (joined === undefined) return undefined
    at = joined
  }
  return sources
}

function findTable(
  tables: ReadonlyMap<string, ReplicatedTable>,
  name: string,
): ReplicatedTable | undefined {
  const lower = name.toLowerCase()
  for (const table of tables.values()) if (table.name.toLowerCase() === lower) return table
  return undefined
}

/** Past a constraint and the word that begins the next source; undefined for an outer join. */
function skipJoin(tokens: readonly SqlToken[], from: number): number | undefined {
  let at = from
  let depth = 0
  for (; at < tokens.length; at += 1) {
    const token = tokens[at] as SqlToken
    if (token.text === '(') depth += 1
    if (token.text === ')') depth -= 1
    if (depth > 0) continue
    if (isWord(token, 'LEFT', 'RIGHT', 'FULL', 'NATURAL', 'INDEXED', 'OUTER')) return undefined
    if (token.text === ',' || isWord(token, 'JOIN')) return at + 1
  }
  return at
}

interface Cut {
  readonly from: number
  readonly fromEnd: number
  readonly top: readonly number[]
  readonly sources: readonly Source[]
}

function compose(sql: string, tokens: readonly SqlToken[], cut: Cut): RowwiseShape | undefined {
  const { from, fromEnd, top, sources } = cut
  const aliases = new Set(sources.map(({ alias }) => alias.toLowerCase()))
  if (aliases.size !== sources.length) return undefined
  const text = (first: number, end: number) =>
    first >= end ? '' : sql.slice(tokens[first]?.start, tokens[end - 1]?.end)
  const whereAt = top.find((at) => at >= fromEnd && isWord(tokens[at], 'WHERE'))
  const orderAt = top.find((at) => at >= fromEnd && isWord(tokens[at], 'ORDER'))
  const end = orderAt ?? tokens.length
  const where = whereAt === undefined ? '' : text(whereAt + 1, end)
  const keys = sources.flatMap(({ alias, table }) =>
    table.shape.key.map(({ name }) => `${quoteName(alias)}.${quoteName(name)}`),
  )
  const listAt = isWord(tokens[1], 'ALL') ? 2 : 1
  const select = `SELECT ${keys.join(', ')}, ${text(listAt, from)} FROM ${text(from + 1, fromEnd)}`
  const order = orderAt === undefined ? '' : ` ${text(orderAt, tokens.length)}`
  const ofRowSql = new Map<Source, string>()
  for (const source of sources) {
    const isRow = source.table.shape.key
      .map(({ name }) => `${quoteName(source.alias)}.${quoteName(name)} = ?`)
      .join(' AND ')
    ofRowSql.set(source, `${select} WHERE ${where === '' ? '' : `(${where}) AND `}${isRow}`)
  }
  return {
    sources,
    allSql: `${select}${where === '' ? '' : ` WHERE ${where}`}${order}`,
    ofRowSql,
  }
}
