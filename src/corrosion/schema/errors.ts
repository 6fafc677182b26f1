import { GodwitError } from '#base'

export type SchemaErrorCode = keyof typeof SchemaError.catalogue

/** Why a schema is refused. The database keeps the one it had. */
export class SchemaError extends GodwitError<SchemaErrorCode> {
  static override readonly catalogue = {
    /** SQLite cannot parse it. */
    'schema.syntax': { status: 400 },
    /** Something other than CREATE TABLE, CREATE INDEX, DROP INDEX IF EXISTS. */
    'schema.statement_unsupported': { status: 400 },
    /** A table that cannot be replicated: its key, a unique index, a foreign key, a default. */
    'schema.table_unfit': { status: 400 },
    /** It would lose data or change what rows mean. */
    'schema.destructive': { status: 409 },
  } as const
}
