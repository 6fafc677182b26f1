import type { DatabaseSync } from 'node:sqlite'
import { SchemaError } from './errors.ts'
import { nameOf, quoteName, type SqlToken, sqlTokens } from './sql-tokens.ts'
import type { ColumnShape, IndexShape, SchemaShape, TableShape } from './table-shape.ts'

interface ColumnRow {
  readonly name: string
  readonly type: string
  readonly notnull: number
  readonly dflt_value: string | null
  readonly pk: number
  /** 0 plain, 2 and 3 generated. */
  readonly hidden: number
}

/**
 * The tables and indexes of a database that hold a user's rows; those of the store itself are left out.
 * @throws SchemaError schema.table_unfit for one that cannot be replicated.
 */
export function readTables(database: DatabaseSync): Omit<SchemaShape, 'droppedIndexes'> {
  const tables = new Map<string, TableShape>()
  const indexes = new Map<string, IndexShape>()
  const entries = database
    .prepare(`SELECT type, name, tbl_name AS "table", sql FROM sqlite_schema ORDER BY rowid`)
    .all() as unknown as { type: string; name: string; table: string; sql: string | null }[]
  for (const { type, name, table, sql } of entries) {
    if (sql === null || isInternal(table) || isInternal(name)) continue
    if (type === 'table') tables.set(name.toLowerCase(), readTable(database, name, sql))
    if (type === 'index') indexes.set(name.toLowerCase(), { name, table, sql })
  }
  return { tables, indexes }
}

/** Names of the store's own tables and of SQLite's. */
export function isInternal(name: string): boolean {
  const lower = name.toLowerCase()
  return (
    /^(sqlite_|__corro_|crsql_(log|versions|tables|site_id|db_versions|master|changes)$)/.test(
      lower,
    ) || lower.includes('__crsql_')
  )
}

function readTable(database: DatabaseSync, name: string, sql: string): TableShape {
  const rows = database
    .prepare(`SELECT * FROM pragma_table_xinfo(?)`)
    .all(name) as unknown as ColumnRow[]
  const definitions = columnDefinitions(sql)
  const shapes = rows.map((row): ColumnShape & { pk: number } => ({
    name: row.name,
    type: row.type,
    notNull: row.notnull !== 0,
    defaultSql: row.dflt_value,
    isGenerated: row.hidden > 1,
    definition: definitions.get(row.name.toLowerCase()) ?? quoteName(row.name),
    pk: row.pk,
  }))
  const strip = ({ pk: _, ...shape }: ColumnShape & { pk: number }): ColumnShape => shape
  const table: TableShape = {
    name,
    sql,
    key: shapes
      .filter(({ pk }) => pk > 0)
      .sort((a, b) => a.pk - b.pk)
      .map(strip),
    columns: shapes.filter(({ pk }) => pk === 0).map(strip),
  }
  checkFit(database, table)
  return table
}

/** What replication cannot keep: each with the reason. */
function checkFit(database: DatabaseSync, table: TableShape): void {
  const { name } = table
  const unfit = (what: string, values = {}) => {
    throw new SchemaError('schema.table_unfit', { what, values: { table: name, ...values } })
  }
  if (table.key.length === 0 || table.key.some(({ notNull }) => !notNull)) {
    unfit(
      `Table ${name} has no primary key or primary key is nullable. CRRs must have a non nullable primary key`,
    )
  }
  if ([...sqlTokens(table.sql)].some(({ text }) => text.toUpperCase() === 'AUTOINCREMENT')) {
    unfit(`${name} has auto-increment primary keys. This is likely a mistake`)
  }
  for (const column of table.columns) {
    if (!column.notNull || column.isGenerated) continue
    if (column.defaultSql === null || column.defaultSql.toUpperCase() === 'NULL') {
      unfit(
        `not nullable column '${column.name}' on table '${name}' needs a default value for forward schema compatibility`,
      )
    }
  }
  checkIndexes(database, table, unfit)
  const foreign = database.prepare(`SELECT "from" FROM pragma_foreign_key_list(?)`).get(name) as
    | { from: string }
    | undefined
  if (foreign !== undefined) {
    unfit(`foreign keys are not supported (table: '${name}', column: '${foreign.from}')`)
  }
}

function checkIndexes(
  database: DatabaseSync,
  { name }: TableShape,
  unfit: (what: string, values?: object) => void,
): void {
  const lists = database
    .prepare(`SELECT name, "unique", origin FROM pragma_index_list(?)`)
    .all(name) as unknown as { name: string; unique: number; origin: string }[]
  for (const index of lists) {
    if (index.origin === 'pk') {
      const collations = database
        .prepare(`SELECT coll FROM pragma_index_xinfo(?) WHERE key = 1`)
        .all(index.name) as unknown as { coll: string }[]
      const odd = collations.find(({ coll }) => coll.toUpperCase() !== 'BINARY')
      if (odd !== undefined) {
        unfit(`the primary key of table '${name}' must compare by bytes`, { collation: odd.coll })
      }
    } else if (index.unique !== 0 && index.origin === 'c') {
      unfit(`unique indexes are not supported: ${index.name}`)
    } else if (index.unique !== 0) {
      unfit(
        `Table ${name} has unique indices besides the primary key. This is not allowed for CRRs`,
      )
    }
  }
}

/** Column definitions by name (in lower case), cut out of a CREATE TABLE. */
function columnDefinitions(sql: string): Map<string, string> {
  const found = new Map<string, string>()
  let depth = 0
  let part: SqlToken[] = []
  const finish = () => {
    const [first] = part
    const last = part.at(-1)
    if (first !== undefined && last !== undefined) {
      found.set(nameOf(first).toLowerCase(), sql.slice(first.start, last.end))
    }
    part = []
  }
  for (const token of sqlTokens(sql)) {
    if (token.text === '(') {
      depth += 1
      if (depth === 1) continue
    } else if (token.text === ')') {
      depth -= 1
      if (depth === 0) break
    } else if (token.text === ',' && depth === 1) {
      finish()
      continue
    }
    if (depth > 0) part.push(token)
  }
  finish()
  return found
}
