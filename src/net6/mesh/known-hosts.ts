/**
 * All hosts, as rows have told of them. A row that is gone is believed to be gone only after a while: a replica
 * that was lost, or is filled just now, must not take links away. No I/O.
 */
import type { HostRow } from './host-rows.ts'

/** A host that leaves for good loses its links so long after its row. */
export const GONE_MS = 10 * 60_000

export class KnownHosts {
  readonly #rows = new Map<string, HostRow>()
  /** Since when a row is not there any more, by host. */
  readonly #goneMs = new Map<string, number>()

  /** @param remembered of a former process: they count until a complete set of rows says otherwise */
  constructor(remembered: Iterable<HostRow> = []) {
    for (const row of remembered) this.#rows.set(row.id, row)
  }

  set(row: HostRow): void {
    this.#rows.set(row.id, row)
    this.#goneMs.delete(row.id)
  }

  gone(id: string, nowMs: number): void {
    if (this.#rows.has(id)) this.#goneMs.set(id, nowMs)
  }

  /** The rows are complete, and these are all. */
  complete(ids: ReadonlySet<string>, nowMs: number): void {
    for (const id of this.#rows.keys()) {
      if (!ids.has(id) && !this.#goneMs.has(id)) this.#goneMs.set(id, nowMs)
    }
  }

  /** Those that count now. */
  rows(nowMs: number): HostRow[] {
    for (const [id, sinceMs] of this.#goneMs) {
      if (nowMs - sinceMs < GONE_MS) continue
      this.#goneMs.delete(id)
      this.#rows.delete(id)
    }
    return [...this.#rows.values()]
  }
}
