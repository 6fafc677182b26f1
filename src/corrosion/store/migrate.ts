import type { DatabaseSync } from 'node:sqlite'
import { parseSchema } from '../schema/parse-schema.ts'
import { type MigrationStep, planMigration } from '../schema/plan-migration.ts'
import { readTables } from '../schema/read-tables.ts'
import { quoteName } from '../schema/sql-tokens.ts'
import type { TableShape } from '../schema/table-shape.ts'
import {
  changesViewSql,
  clockTableSql,
  dropTriggersSql,
  logKeyNames,
  triggerSql,
} from './shadow-schema.ts'

/**
 * Takes the database to the declared schema, inside the transaction that is open.
 * @throws SchemaError and what SQLite says; roll back then.
 */
export function migrate(database: DatabaseSync, declaredSql: string): MigrationStep[] {
  const declared = parseSchema(declaredSql)
  const ids = tableIds(database)
  const steps = planMigration(readTables(database), declared, (table) => ids.has(table))
  for (const step of steps) takeStep(database, step)
  if (steps.length > 0) database.exec(changesViewSql(replicatedTables(database)))
  return steps
}

/** Replicated tables as the database has them now. */
export function replicatedTables(database: DatabaseSync): TableShape[] {
  const ids = tableIds(database)
  return [...readTables(database).tables.values()].filter(({ name }) => ids.has(name))
}

export function tableIds(database: DatabaseSync): Map<string, number> {
  const rows = database.prepare(`SELECT name, id FROM crsql_tables`).all()
  return new Map(rows.map(({ name, id }) => [name as string, id as number]))
}

function takeStep(database: DatabaseSync, step: MigrationStep): void {
  switch (step.kind) {
    case 'createTable':
      database.exec(step.table.sql)
      replicate(database, step.table)
      break
    case 'adoptTable':
      replicate(database, step.table)
      recordAllRows(database, step.table)
      break
    case 'addColumns':
      addColumns(database, step.table, step.columns)
      break
    case 'createIndex':
      database.exec(step.index.sql)
      break
    case 'dropIndex':
      database.exec(`DROP INDEX IF EXISTS ${quoteName(step.name)}`)
  }
}

function replicate(database: DatabaseSync, table: TableShape): void {
  database.prepare(`INSERT INTO crsql_tables (name) VALUES (?)`).run(table.name)
  widenLog(database, table.key.length)
  database.exec(clockTableSql(table))
  makeTriggers(database, table.name)
}

/** Rows that were there before count as inserted now. */
function recordAllRows(database: DatabaseSync, table: TableShape): void {
  const id = tableIds(database).get(table.name) as number
  const keys = logKeyNames(table.key.length)
  const columns = table.key.map(({ name }) => quoteName(name))
  database.exec(
    `INSERT INTO crsql_log (tbl, op, ${keys.join(', ')})
     SELECT ${id}, -1, ${columns.join(', ')} FROM ${quoteName(table.name)}`,
  )
}

/** Rows that exist get the default without a change being recorded: every node does the same. */
function addColumns(
  database: DatabaseSync,
  { name }: TableShape,
  columns: readonly { definition: string }[],
): void {
  for (const { definition } of columns) {
    database.exec(`ALTER TABLE ${quoteName(name)} ADD COLUMN ${definition}`)
  }
  database.exec(dropTriggersSql(name))
  makeTriggers(database, name)
}

function makeTriggers(database: DatabaseSync, name: string): void {
  const table = readTables(database).tables.get(name.toLowerCase())
  const id = tableIds(database).get(name)
  if (table === undefined || id === undefined) return
  database.exec(triggerSql(table, id))
}

/** The log has as many key columns as the widest key. */
function widenLog(database: DatabaseSync, keyWidth: number): void {
  const columns = database.prepare(`SELECT * FROM crsql_log LIMIT 0`).columns()
  const known = new Set(columns.map(({ name }) => name))
  for (const key of logKeyNames(keyWidth)) {
    if (!known.has(key)) database.exec(`ALTER TABLE crsql_log ADD COLUMN ${key}`)
  }
}
