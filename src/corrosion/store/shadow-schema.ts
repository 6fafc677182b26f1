import { quoteName, quoteText } from '../schema/sql-tokens.ts'
import { type ColumnShape, replicated, type TableShape } from '../schema/table-shape.ts'

/** `op` of a log row that is no bit set of changed columns. */
export const INSERTED = -1
export const DELETED = -2
/** Another site wrote the row: the clocks say which columns. */
export const REMOTE = -3
/** Ends a version of our own; k0 is its time. */
export const VERSION_END = -4
/** Wider tables have their changed columns as text, a digit each. */
const MASK_COLUMNS_MAX = 50

/** The layout of the store's own tables; raised when it changes. */
export const FORMAT = 1

/**
 * The store's own tables. `crsql_log` is what triggers append to: which columns of which row were written, in
 * order; a row of its own ends each version of this node. `crsql_versions` says which stretch of the log is
 * which version, of this node (site 0) and others. All else follows from the two.
 */
export const STORE_SQL = `
CREATE TABLE IF NOT EXISTS crsql_master (key TEXT PRIMARY KEY, value ANY) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS crsql_site_id (ordinal INTEGER PRIMARY KEY, site_id BLOB NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS crsql_tables (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS crsql_log (id INTEGER PRIMARY KEY, tbl INTEGER NOT NULL, op NOT NULL, k0);
CREATE TABLE IF NOT EXISTS crsql_versions (
  site INTEGER NOT NULL, db_version INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  last_seq INTEGER NOT NULL, ts INTEGER NOT NULL, PRIMARY KEY (site, db_version, first)
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS crsql_db_versions (site INTEGER PRIMARY KEY, db_version INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS __corro_state (key TEXT PRIMARY KEY, value ANY) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS __corro_bookkeeping_gaps (
  actor_id BLOB NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, PRIMARY KEY (actor_id, start)
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS __corro_buffered_changes (
  site_id BLOB NOT NULL, db_version INTEGER NOT NULL, start_seq INTEGER NOT NULL, end_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL, ts INTEGER NOT NULL, changes BLOB NOT NULL,
  PRIMARY KEY (site_id, db_version, start_seq, end_seq)
) STRICT;
CREATE TABLE IF NOT EXISTS __corro_early_changes (
  site INTEGER NOT NULL, db_version INTEGER NOT NULL, seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
  ts INTEGER NOT NULL, tbl TEXT NOT NULL, pk BLOB NOT NULL, cid TEXT NOT NULL, val ANY,
  col_version INTEGER NOT NULL, cl INTEGER NOT NULL, PRIMARY KEY (site, db_version, seq)
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS __corro_members (
  actor_id BLOB PRIMARY KEY, address TEXT NOT NULL, foca_state TEXT NOT NULL, rtt_min INTEGER,
  updated_at TEXT NOT NULL
) WITHOUT ROWID, STRICT;
`

export function clockName(table: string): string {
  return quoteName(`${table}__crsql_clock`)
}

export function logKeyNames(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `k${at}`)
}

/** The table of a table's row clocks, see row-clock.ts. */
export function clockTableSql(table: TableShape): string {
  const isStrict = /\)[^)]*\bSTRICT\b[^)]*$/i.test(table.sql)
  const types = table.key.map(({ type }) => (isStrict && /^any$/i.test(type) ? '' : type))
  const names = logKeyNames(table.key.length)
  const keys = names.map((name, at) => `${name} ${types[at]} NOT NULL`)
  return `CREATE TABLE IF NOT EXISTS ${clockName(table.name)} (${keys.join(', ')},
    cl INTEGER NOT NULL, site INTEGER NOT NULL, version INTEGER NOT NULL, seq INTEGER NOT NULL,
    width INTEGER NOT NULL, overrides TEXT, PRIMARY KEY (${names.join(', ')})) WITHOUT ROWID`
}

/** The triggers that append to the log what a statement did to a row. Merges switch them off. */
export function triggerSql(table: TableShape, id: number): string {
  const name = quoteName(table.name)
  const named = (suffix: string) => quoteName(`${table.name}__crsql_${suffix}`)
  const keyOf = (row: 'OLD' | 'NEW') =>
    table.key.map((column) => `${row}.${quoteName(column.name)}`).join(', ')
  const append = (op: string, row: 'OLD' | 'NEW') =>
    `INSERT INTO crsql_log (tbl, op, ${logKeyNames(table.key.length).join(', ')})
     VALUES (${id}, ${op}, ${keyOf(row)});`
  const sameKey = table.key.map((column) => `NOT (${isChanged(column)})`).join(' AND ')
  const columns = replicated(table)
  const on = `ON ${name} WHEN crsql_internal_sync_bit() = 0`
  const triggers = [
    `CREATE TRIGGER ${named('itrig')} AFTER INSERT ${on} BEGIN ${append(`${INSERTED}`, 'NEW')} END;`,
    `CREATE TRIGGER ${named('dtrig')} AFTER DELETE ${on} BEGIN ${append(`${DELETED}`, 'OLD')} END;`,
    `CREATE TRIGGER ${named('ktrig')} AFTER UPDATE OF ${table.key
      .map((column) => quoteName(column.name))
      .join(', ')} ${on} AND NOT (${sameKey})
     BEGIN ${append(`${DELETED}`, 'OLD')} ${append(`${INSERTED}`, 'NEW')} END;`,
  ]
  if (columns.length > 0) {
    const anyChanged = columns.map(isChanged).join(' OR ')
    triggers.push(
      `CREATE TRIGGER ${named('utrig')} AFTER UPDATE ${on} AND (${anyChanged}) AND ${sameKey}
       BEGIN ${append(changedColumns(columns), 'NEW')} END;`,
    )
  }
  return triggers.join('\n')
}

export function dropTriggersSql(table: string): string {
  return ['itrig', 'utrig', 'dtrig', 'ktrig']
    .map((suffix) => `DROP TRIGGER IF EXISTS ${quoteName(`${table}__crsql_${suffix}`)};`)
    .join('\n')
}

/** By bytes whatever the column's collation; 1 and 1.0 differ where a column keeps both. */
function isChanged({ name, type }: ColumnShape): string {
  const column = quoteName(name)
  const changed = `OLD.${column} IS NOT NEW.${column} COLLATE BINARY`
  const keepsBoth = type === '' || /blob|any/i.test(type)
  return keepsBoth ? `${changed} OR typeof(OLD.${column}) <> typeof(NEW.${column})` : changed
}

function changedColumns(columns: readonly ColumnShape[]): string {
  if (columns.length > MASK_COLUMNS_MAX) {
    return columns
      .map((column) => `CASE WHEN ${isChanged(column)} THEN '1' ELSE '0' END`)
      .join('||')
  }
  return columns.map((column, at) => `((${isChanged(column)}) << ${at})`).join(' | ')
}

/** Ordinals that an `op` names. */
export function changedOrdinals(op: number | string): number[] {
  const ordinals: number[] = []
  if (typeof op === 'string') {
    for (let at = 0; at < op.length; at += 1) if (op[at] === '1') ordinals.push(at)
    return ordinals
  }
  let rest = op
  for (let at = 0; rest > 0; at += 1) {
    if (rest % 2 === 1) ordinals.push(at)
    rest = Math.floor(rest / 2)
  }
  return ordinals
}

/**
 * `crsql_changes` as cr-sqlite exposes it, computed from the clocks: for people and tools. It reads all
 * clocks of all tables; dissemination has faster ways.
 */
export function changesViewSql(tables: readonly TableShape[]): string {
  const arms = tables.map(changesArm)
  const empty = `SELECT NULL AS "table", NULL AS pk, NULL AS cid, NULL AS val, NULL AS col_version,
    NULL AS db_version, NULL AS site_id, NULL AS cl, NULL AS seq, NULL AS ts WHERE 0`
  return `DROP VIEW IF EXISTS crsql_changes;
CREATE VIEW crsql_changes AS ${[empty, ...arms].join('\nUNION ALL ')}
ORDER BY db_version, seq;
CREATE TRIGGER crsql_changes__crsql_merge INSTEAD OF INSERT ON crsql_changes BEGIN
  SELECT crsql_merge_change(NEW."table", NEW.pk, NEW.cid, NEW.val, NEW.col_version, NEW.db_version,
    NEW.site_id, NEW.cl, NEW.seq, NEW.ts);
END;`
}

function changesArm(table: TableShape): string {
  const keys = logKeyNames(table.key.length)
  const columns = replicated(table)
  const field = (at: number) => `json_extract(change.value, '$[${at}]')`
  const cases = (of: (column: ColumnShape) => string, otherwise: string) =>
    columns.length === 0
      ? otherwise
      : `CASE ${field(0)} ${columns.map((column, at) => `WHEN ${at} THEN ${of(column)}`).join(' ')} ELSE ${otherwise} END`
  const join = table.key.map((column, at) => `t.${quoteName(column.name)} = c.${keys[at]}`)
  return `SELECT ${quoteText(table.name)}, crsql_pack_columns(${keys.map((key) => `c.${key}`).join(', ')}),
    ${cases((column) => quoteText(column.name), "'-1'")},
    ${cases((column) => `t.${quoteName(column.name)}`, 'NULL')},
    ${field(1)}, ${field(3)}, s.site_id, c.cl, ${field(4)},
    (SELECT CAST(v.ts AS TEXT) FROM crsql_versions v
     WHERE v.site = s.ordinal AND v.db_version = ${field(3)} LIMIT 1)
  FROM ${clockName(table.name)} c
  JOIN json_each(crsql_row_clock(c.cl, c.site, c.version, c.seq, c.width, c.overrides)) change
  JOIN crsql_site_id s ON s.ordinal = ${field(2)}
  LEFT JOIN ${quoteName(table.name)} t ON ${join.join(' AND ')}`
}
