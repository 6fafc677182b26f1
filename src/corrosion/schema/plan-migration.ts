import { SchemaError } from './errors.ts'
import type { ColumnShape, IndexShape, SchemaShape, TableShape } from './table-shape.ts'

export type MigrationStep =
  | { readonly kind: 'createTable'; readonly table: TableShape }
  /** A table that was there before it was declared becomes replicated. */
  | { readonly kind: 'adoptTable'; readonly table: TableShape }
  | {
      readonly kind: 'addColumns'
      readonly table: TableShape
      readonly columns: readonly ColumnShape[]
    }
  | { readonly kind: 'createIndex'; readonly index: IndexShape }
  | { readonly kind: 'dropIndex'; readonly name: string }

/**
 * What takes a database to the declared schema without losing anything. Tables that are not declared
 * are kept; each declared one must be complete. Indexes follow the declaration.
 * @throws SchemaError schema.destructive
 */
export function planMigration(
  current: Omit<SchemaShape, 'droppedIndexes'>,
  declared: SchemaShape,
  isReplicated: (table: string) => boolean,
): MigrationStep[] {
  const steps: MigrationStep[] = []
  for (const [name, table] of declared.tables) {
    const before = current.tables.get(name)
    if (before === undefined) steps.push({ kind: 'createTable', table })
    else {
      const columns = addedColumns(before, table)
      if (!isReplicated(before.name)) steps.push({ kind: 'adoptTable', table: before })
      if (columns.length > 0) steps.push({ kind: 'addColumns', table: before, columns })
    }
  }
  steps.push(...indexSteps(current, declared))
  return steps
}

function addedColumns(before: TableShape, after: TableShape): ColumnShape[] {
  checkKey(before, after)
  const next = byName(after.columns)
  for (const column of before.columns) {
    const declared = next.get(column.name.toLowerCase())
    if (declared === undefined) {
      throw destructive(
        `won't remove column without the destructive flag set (table: '${after.name}', column: '${column.name}')`,
        'declare the column as it was; data is never dropped by a schema file',
      )
    }
    if (!sameColumn(column, declared)) {
      throw destructive(
        `won't change column '${column.name}' of table '${after.name}'`,
        'add a new column and move the data to it',
      )
    }
  }
  const known = byName(before.columns)
  return after.columns.filter(({ name }) => !known.has(name.toLowerCase()))
}

function checkKey(before: TableShape, after: TableShape): void {
  const same =
    before.key.length === after.key.length &&
    before.key.every((column, at) => {
      const other = after.key[at]
      return (
        other !== undefined &&
        column.name.toLowerCase() === other.name.toLowerCase() &&
        sameType(column, other)
      )
    })
  if (!same) {
    throw destructive(
      `can't modify primary keys (table: '${after.name}')`,
      'create a new table and move the rows to it',
    )
  }
}

function sameColumn(a: ColumnShape, b: ColumnShape): boolean {
  return (
    sameType(a, b) &&
    a.notNull === b.notNull &&
    a.defaultSql === b.defaultSql &&
    a.isGenerated === b.isGenerated
  )
}

const sameType = (a: ColumnShape, b: ColumnShape) => a.type.toUpperCase() === b.type.toUpperCase()

function byName(columns: readonly ColumnShape[]): Map<string, ColumnShape> {
  return new Map(columns.map((column) => [column.name.toLowerCase(), column]))
}

function indexSteps(
  current: Omit<SchemaShape, 'droppedIndexes'>,
  declared: SchemaShape,
): MigrationStep[] {
  const steps: MigrationStep[] = []
  for (const [name, index] of current.indexes) {
    const next = declared.indexes.get(name)
    const isDeclaredTable = declared.tables.has(index.table.toLowerCase())
    const isGone = next === undefined && isDeclaredTable
    const isChanged = next !== undefined && normal(next.sql) !== normal(index.sql)
    if (declared.droppedIndexes.has(name) || isGone || isChanged) {
      steps.push({ kind: 'dropIndex', name: index.name })
    }
  }
  for (const [name, index] of declared.indexes) {
    const before = current.indexes.get(name)
    if (before === undefined || normal(before.sql) !== normal(index.sql)) {
      steps.push({ kind: 'createIndex', index })
    }
  }
  return steps
}

const normal = (sql: string) => sql.replaceAll(/\s+/g, ' ').trim()

function destructive(what: string, fix: string): SchemaError {
  return new SchemaError('schema.destructive', { what, fix })
}
