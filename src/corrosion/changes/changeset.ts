import type { ActorId } from './actor-id.ts'
import type { Range } from './range-set.ts'
import type { SqlValue } from './sql-value.ts'

/** The cid that stands for the row itself: its col_version is the row's causal length. */
export const SENTINEL = '-1'

/** What one version did to one column of one row. */
export interface ColumnChange {
  /** The column's name, or SENTINEL. */
  readonly cid: string
  readonly val: SqlValue
  readonly colVersion: number
  /** Its place in the version, from 0. */
  readonly seq: number
  /** Causal length of the row: odd alive, even deleted. */
  readonly cl: number
}

export interface RowChanges {
  /** Packed, see packed-key.ts. */
  readonly pk: Uint8Array
  readonly columns: readonly ColumnChange[]
}

export interface TableChanges {
  readonly table: string
  readonly rows: readonly RowChanges[]
}

/** Changes of one version of one actor, or a part of them. */
export interface FullChangeset {
  readonly kind: 'full'
  readonly actor: ActorId
  readonly version: number
  readonly tables: readonly TableChanges[]
  /** Which seqs this part answers for, those without a change (overwritten since) included. */
  readonly seqs: Range
  /** Of the whole version: the parts tile 0..lastSeq. */
  readonly lastSeq: number
  /** Hybrid logical clock of the commit (NTP64), 0n when unknown. */
  readonly ts: bigint
}

/** Versions of which nothing is left: all that they wrote has been overwritten. */
export interface EmptyChangeset {
  readonly kind: 'empty'
  readonly actor: ActorId
  readonly versions: Range
  readonly ts: bigint | null
}

export type Changeset = FullChangeset | EmptyChangeset

export function isWhole({ seqs, lastSeq }: FullChangeset): boolean {
  return seqs.start === 0 && seqs.end === lastSeq
}

export function changeCount(changeset: Changeset): number {
  if (changeset.kind === 'empty') return 0
  let count = 0
  for (const { rows } of changeset.tables) for (const row of rows) count += row.columns.length
  return count
}
