import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { fc } from '#property'
import { parseSchema } from './parse-schema.ts'
import { planMigration } from './plan-migration.ts'
import { readTables } from './read-tables.ts'
import { nameOf, quoteName, quoteText, splitStatements, sqlTokens } from './sql-tokens.ts'
import { replicated } from './table-shape.ts'

test('tokens tile any text but for spaces and comments, and never hang', () => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: fc.constantFrom(...'\'"`[]-/*(;x?:@$1. \n') }),
  )
  fc.assert(
    fc.property(text, (sql) => {
      let at = 0
      for (const token of sqlTokens(sql)) {
        assert.ok(token.start >= at && token.end > token.start)
        assert.equal(sql.slice(token.start, token.end), token.text)
        assert.match(sql.slice(at, token.start), /^(\s|--[^\n]*(\n|$)|\/\*[\s\S]*?(\*\/|$))*$/)
        at = token.end
      }
    }),
    { numRuns: 500 },
  )
})

test('statements end at semicolons outside of strings, names and comments', () => {
  const sql = `SELECT ';' ; -- not; here
    SELECT "a;b", [c;d], \`e;f\` /* nor; here */ ;; SELECT x'00', 'it''s';`
  const statements = splitStatements(sql).map(({ text }) => text)
  assert.equal(statements.length, 3)
  assert.equal(statements[2], `SELECT x'00', 'it''s'`)
})

test('names and texts come back as they were quoted', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), (name) => {
      const [token] = [...sqlTokens(quoteName(name))]
      assert.equal(token && nameOf(token), name)
      const [string] = [...sqlTokens(quoteText(name))]
      assert.equal(string?.text.slice(1, -1).replaceAll("''", "'"), name)
    }),
  )
})

test('what schema files may hold is taken', () => {
  const schema = parseSchema(`
    CREATE TABLE IF NOT EXISTS a (id INTEGER NOT NULL PRIMARY KEY, v TEXT COLLATE NOCASE);
    CREATE TABLE b (x TEXT NOT NULL, y INT NOT NULL, n ANY, s INT AS (y + 1), PRIMARY KEY (y, x)) STRICT;
    CREATE TABLE c (id BLOB NOT NULL PRIMARY KEY, n INTEGER NOT NULL DEFAULT (1 + 1) CHECK (n > 0)) WITHOUT ROWID;
    CREATE TABLE crsql_x (id INTEGER NOT NULL PRIMARY KEY);
    CREATE INDEX c_n ON c (n);
    DROP INDEX IF EXISTS gone`)
  assert.deepEqual([...schema.tables.keys()], ['a', 'b', 'c', 'crsql_x'])
  assert.deepEqual([...schema.indexes.keys()], ['c_n'])
  assert.deepEqual([...schema.droppedIndexes], ['gone'])
  const b = schema.tables.get('b')
  assert.deepEqual(
    b?.key.map(({ name }) => name),
    ['y', 'x'],
    'in the order of the key',
  )
  assert.deepEqual(
    b && replicated(b).map(({ name }) => name),
    ['n'],
    'generated columns are not sent',
  )
})

const refused: readonly (readonly [string, RegExp])[] = [
  ['CREATE TABEL t (id)', /unsupported command: CREATE TABEL/],
  ['CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY,)', /syntax error/],
  ['CREATE TABLE t AS SELECT 1 AS id', /unsupported command/],
  ['CREATE TEMP TABLE t (id INTEGER NOT NULL PRIMARY KEY)', /unsupported command/],
  ['CREATE VIEW v AS SELECT 1', /unsupported command/],
  ['CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END', /unsupported command/],
  [`INSERT INTO t VALUES (1)`, /unsupported command/],
  ['DROP TABLE t', /unsupported command/],
  ['DROP INDEX i', /unsupported command/],
  [
    'CREATE TABLE t (id INTEGER PRIMARY KEY)',
    /Table t has no primary key or primary key is nullable/,
  ],
  ['CREATE TABLE t (id INTEGER)', /Table t has no primary key or primary key is nullable/],
  ['CREATE TABLE t (a TEXT NOT NULL, b TEXT, PRIMARY KEY (a, b))', /primary key is nullable/],
  ['CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT)', /auto-increment/],
  ['CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, u TEXT UNIQUE)', /unique indices/],
  [
    'CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, u TEXT); CREATE UNIQUE INDEX i ON t (u)',
    /unique indexes are not supported: i/,
  ],
  [
    'CREATE TABLE p (id INTEGER NOT NULL PRIMARY KEY); CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, p INTEGER REFERENCES p (id))',
    /foreign keys are not supported \(table: 't', column: 'p'\)/,
  ],
  [
    'CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n TEXT NOT NULL)',
    /not nullable column 'n' on table 't' needs a default value for forward schema compatibility/,
  ],
  ['CREATE TABLE t (id TEXT COLLATE NOCASE NOT NULL PRIMARY KEY)', /must compare by bytes/],
  [
    'CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY); CREATE INDEX i ON t (id); DROP INDEX IF EXISTS i',
    /both created and dropped/,
  ],
]

test('what replication cannot keep is refused with the reason', () => {
  for (const [sql, reason] of refused) assert.throws(() => parseSchema(sql), reason, sql)
})

function planFor(before: string, after: string) {
  const database = new DatabaseSync(':memory:')
  try {
    database.exec(before)
    return planMigration(readTables(database), parseSchema(after), () => true)
  } finally {
    database.close()
  }
}

const T = 'CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a TEXT, b INTEGER NOT NULL DEFAULT 1)'

test('a migration adds what is new, follows indexes, and keeps tables that are not named', () => {
  const before = `${T}; CREATE TABLE other (id INTEGER NOT NULL PRIMARY KEY); CREATE INDEX t_a ON t (a)`
  assert.deepEqual(planFor(before, `${T}; CREATE INDEX t_a ON t (a)`), [])
  const wider = T.replace(')', `, c REAL DEFAULT 1.5, "d e" TEXT NOT NULL DEFAULT 'x')`)
  const steps = planFor(
    before,
    `${wider}; CREATE INDEX t_a ON t (a, b); CREATE TABLE n (id TEXT NOT NULL PRIMARY KEY)`,
  )
  assert.deepEqual(
    steps.map((step) =>
      step.kind === 'addColumns' ? step.columns.map(({ definition }) => definition) : step.kind,
    ),
    [
      ['c REAL DEFAULT 1.5', `"d e" TEXT NOT NULL DEFAULT 'x'`],
      'createTable',
      'dropIndex',
      'createIndex',
    ],
  )
})

test('a migration that would lose or change something is refused', () => {
  for (const [after, reason] of [
    [T.replace(', a TEXT', ''), /won't remove column .*\(table: 't', column: 'a'\)/],
    [T.replace('a TEXT', 'a BLOB'), /won't change column 'a'/],
    [T.replace('DEFAULT 1', 'DEFAULT 2'), /won't change column 'b'/],
    [T.replace('a TEXT', `a TEXT NOT NULL DEFAULT ''`), /won't change column 'a'/],
    [T.replace('id INTEGER', 'id TEXT'), /can't modify primary keys/],
    [
      'CREATE TABLE t (a TEXT NOT NULL PRIMARY KEY, id INTEGER, b INTEGER)',
      /can't modify primary keys/,
    ],
  ] as const) {
    assert.throws(() => planFor(T, after), { message: reason, code: 'schema.destructive' }, after)
  }
})
