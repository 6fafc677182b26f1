/** A cell as the API's JSON has it; blobs are lists of bytes. */
export type JsonCell = null | string | number | readonly number[]
export type JsonCells = readonly JsonCell[]

export interface FollowedQuery {
  /** Its first `keyColumns` columns tell its rows apart. */
  readonly sql: string
  readonly keyColumns: number
  /** Keys of rows that the owner has from an earlier life: those that are not in the first snapshot go, too. */
  readonly known?: Iterable<string>
  /** A row as it is now; undefined: it is gone. After a loss, rows that are known come again as they are. */
  readonly onRow: (key: string, cells: JsonCells | undefined) => void
}

type ChangeEvent = readonly ['insert' | 'update' | 'delete', number, JsonCells, number]

/**
 * One subscription as it arrives, event by event (docs/corrosion.md, "Subscriptions"). A snapshot replaces what
 * is known: rows that are not in it go when it is complete, and not before. No I/O.
 */
export class QueryFeed {
  readonly #query: FollowedQuery
  #keys: Set<string>
  #changeId = 0
  /** Keys of the snapshot that is coming in; undefined between snapshots. */
  #snapshot: Set<string> | undefined
  /** Has a snapshot been complete once? */
  isComplete = false

  constructor(query: FollowedQuery) {
    this.#query = query
    this.#keys = new Set(query.known)
  }

  /** The change to go on after; 0: with a snapshot. */
  get resumeFrom(): number {
    return this.#snapshot === undefined ? this.#changeId : 0
  }

  /** A connection begins, that was asked for with `resumeFrom`. */
  opened(): void {
    this.#snapshot = this.resumeFrom === 0 ? new Set() : undefined
  }

  /** Changes were lost, or their numbers mean nothing any more: the next connection begins with a snapshot. */
  reset(): void {
    this.#changeId = 0
    this.#snapshot = undefined
  }

  /** @returns why the connection is of no use any more, else undefined */
  event(event: unknown): string | undefined {
    if (typeof event !== 'object' || event === null) return 'an event that is no object'
    if ('row' in event) return this.#row((event.row as [number, JsonCells])[1])
    if ('change' in event) return this.#change(event.change as ChangeEvent)
    if ('eoq' in event) return this.#completed((event.eoq as { change_id?: number }).change_id ?? 0)
    return 'error' in event ? String(event.error) : undefined
  }

  #row(cells: JsonCells): undefined {
    const key = this.#keyOf(cells)
    this.#snapshot?.add(key)
    this.#keys.add(key)
    this.#query.onRow(key, cells)
  }

  #change([kind, , cells, changeId]: ChangeEvent): string | undefined {
    if (this.#changeId > 0 && changeId !== this.#changeId + 1) return 'changes are missing'
    this.#changeId = changeId
    const key = this.#keyOf(cells)
    if (kind === 'delete') this.#keys.delete(key)
    else this.#keys.add(key)
    this.#query.onRow(key, kind === 'delete' ? undefined : cells)
    return undefined
  }

  #completed(changeId: number): undefined {
    const seen = this.#snapshot
    this.#snapshot = undefined
    this.#changeId = changeId
    this.isComplete = true
    if (seen === undefined) return
    for (const key of this.#keys) {
      if (!seen.has(key)) this.#query.onRow(key, undefined)
    }
    this.#keys = seen
  }

  #keyOf(cells: JsonCells): string {
    return cells.slice(0, this.#query.keyColumns).join('\u0000')
  }
}
