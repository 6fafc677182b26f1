import type { Cell, RowTable, Statement } from './row.ts'

/** This host's replica, as the publisher uses it. */
export interface RowStore {
  /** All rows of a table that are this host's, with the columns named. */
  ownRows(
    table: RowTable,
    columns: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly Readonly<Record<string, Cell>>[]>
  /** All of them or none. */
  write(statements: readonly Statement[], signal: AbortSignal): Promise<void>
}
