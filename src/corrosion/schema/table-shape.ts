/** A column of a replicated table. */
export interface ColumnShape {
  readonly name: string
  /** As declared: `INTEGER`, `TEXT`, ... or empty. */
  readonly type: string
  readonly notNull: boolean
  /** The default's SQL text, null without one. */
  readonly defaultSql: string | null
  /** Computed from others: never replicated. */
  readonly isGenerated: boolean
  /** The whole definition as in CREATE TABLE, which ADD COLUMN takes too. */
  readonly definition: string
}

export interface TableShape {
  readonly name: string
  readonly sql: string
  /** In the order of the key. */
  readonly key: readonly ColumnShape[]
  /** All others, in the order of the table. Only appended to, so a column's place stays. */
  readonly columns: readonly ColumnShape[]
}

export interface IndexShape {
  readonly name: string
  readonly table: string
  readonly sql: string
}

/** A whole schema, as files declare it or as a database has it. Names are keys, in lower case. */
export interface SchemaShape {
  readonly tables: ReadonlyMap<string, TableShape>
  readonly indexes: ReadonlyMap<string, IndexShape>
  /** Of `DROP INDEX IF EXISTS`, in lower case. */
  readonly droppedIndexes: ReadonlySet<string>
}

/** Columns that replicate: without generated ones. A column's ordinal is its place here. */
export function replicated(table: TableShape): readonly ColumnShape[] {
  return table.columns.filter(({ isGenerated }) => !isGenerated)
}
