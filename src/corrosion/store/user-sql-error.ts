import { GodwitError } from '#base'

export type UserSqlErrorCode = keyof typeof UserSqlError.catalogue

/** What is wrong with a statement that a user gave. Nothing of it was carried out. */
export class UserSqlError extends GodwitError<UserSqlErrorCode> {
  static override readonly catalogue = {
    'corrosion.sql_empty': { status: 400 },
    'corrosion.sql_several': { status: 400 },
    'corrosion.sql_parameters': { status: 400 },
    /** A query that would write, or a setting. */
    'corrosion.sql_not_readonly': { status: 400 },
    /** Transactions, schema, settings, other databases, the store's own tables. */
    'corrosion.sql_forbidden': { status: 400 },
    /** A write that returns rows. */
    'corrosion.sql_returns_rows': { status: 400 },
    'corrosion.sql_timeout': { status: 408 },
    /** What SQLite says. */
    'corrosion.sql_failed': { status: 400 },
    /** All connections for reading are taken by slow readers. */
    'corrosion.readers_busy': { status: 503, transient: true },
  } as const
}
