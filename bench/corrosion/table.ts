import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { systemClock } from '#base'
import { HybridClock, Store } from '#corrosion'

/** The table that everything here writes: six columns, as many as a row of the platform has about. */
export const SCHEMA = `CREATE TABLE item (
  id INTEGER NOT NULL PRIMARY KEY, owner TEXT, name TEXT, state TEXT, sent_us INTEGER, load REAL);`
/** Columns beside the key: so many changes an inserted row is. */
export const CHANGES_PER_ROW = 5

/** Parameters: those of `cells`; two cells and the id; the id. */
export const STATEMENTS = {
  insert: `INSERT INTO item VALUES (?, ?, ?, ?, ?, ?)`,
  update: `UPDATE item SET state = ?, load = ? WHERE id = ?`,
  delete: `DELETE FROM item WHERE id = ?`,
} as const
export type Operation = keyof typeof STATEMENTS
export const OPERATIONS = Object.keys(STATEMENTS) as Operation[]

export function cells(operation: Operation, id: number): SQLInputValue[] {
  if (operation === 'delete') return [id]
  if (operation === 'update') return [`stopping ${id % 7}`, id / 5, id]
  return [id, `host-${id % 16}`, `machine ${id}`, 'started', id * 1_000, id / 3]
}

export function openStore(path: string): Store {
  const hlc = new HybridClock(systemClock)
  const store = new Store({ path, now: () => hlc.now() })
  store.migrate(SCHEMA)
  return store
}

/** The same table without replication, under the pragmas that the store sets. */
export function openPlain(path: string): DatabaseSync {
  const database = new DatabaseSync(path)
  database.exec(`
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = normal;
    PRAGMA recursive_triggers = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA journal_size_limit = ${1 << 30};
    PRAGMA cache_size = -65536;
    ${SCHEMA}`)
  return database
}
