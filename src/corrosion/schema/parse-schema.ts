import { DatabaseSync } from 'node:sqlite'
import { SchemaError } from './errors.ts'
import { readTables } from './read-tables.ts'
import { isWord, nameOf, type SqlToken, splitStatements } from './sql-tokens.ts'
import type { SchemaShape } from './table-shape.ts'

/**
 * Schema files as one shape: `CREATE TABLE`, `CREATE INDEX` and `DROP INDEX IF EXISTS` only. SQLite
 * itself parses them, in a database of memory that is thrown away.
 * @throws SchemaError schema.syntax, schema.statement_unsupported, schema.table_unfit
 */
export function parseSchema(sql: string): SchemaShape {
  const scratch = new DatabaseSync(':memory:')
  try {
    const dropped = new Set<string>()
    for (const { text, tokens } of splitStatements(sql)) {
      const dropName = checkStatement(text, tokens)
      if (dropName === undefined) declare(scratch, text)
      else dropped.add(dropName.toLowerCase())
    }
    const shape = { ...readTables(scratch), droppedIndexes: dropped }
    for (const name of dropped) {
      if (shape.indexes.has(name)) throw createdAndDropped(name)
    }
    return shape
  } finally {
    scratch.close()
  }
}

/** The index to drop, or undefined for a statement that declares something. */
function checkStatement(text: string, tokens: readonly SqlToken[]): string | undefined {
  const [first, second, third, fourth, fifth] = tokens
  const creates =
    isWord(first, 'CREATE') &&
    (isWord(second, 'TABLE', 'INDEX') || (isWord(second, 'UNIQUE') && isWord(third, 'INDEX')))
  if (creates) {
    if (tokens.some((token, at) => isWord(token, 'AS') && isSelect(tokens, at))) {
      throw unsupported(text)
    }
    return undefined
  }
  const drops =
    isWord(first, 'DROP') &&
    isWord(second, 'INDEX') &&
    isWord(third, 'IF') &&
    isWord(fourth, 'EXISTS')
  if (drops && fifth !== undefined && tokens.length === 5) return nameOf(fifth)
  throw unsupported(text)
}

/** `CREATE TABLE t AS SELECT`: not the `AS` of a generated column, which a parenthesis follows. */
function isSelect(tokens: readonly SqlToken[], at: number): boolean {
  return isWord(tokens[at + 1], 'SELECT', 'VALUES', 'WITH')
}

function declare(scratch: DatabaseSync, text: string): void {
  try {
    scratch.exec(text)
  } catch (cause) {
    throw new SchemaError('schema.syntax', {
      what: `the schema cannot be parsed: ${(cause as Error).message}`,
      values: { statement: shortened(text) },
      cause,
    })
  }
}

function unsupported(text: string): SchemaError {
  return new SchemaError('schema.statement_unsupported', {
    what: `unsupported command: ${shortened(text)}`,
    fix: 'use CREATE TABLE, CREATE INDEX and DROP INDEX IF EXISTS only',
  })
}

function createdAndDropped(name: string): SchemaError {
  return new SchemaError('schema.statement_unsupported', {
    what: 'an index is both created and dropped',
    values: { index: name },
  })
}

const shortened = (text: string) => (text.length <= 200 ? text : `${text.slice(0, 200)}...`)
