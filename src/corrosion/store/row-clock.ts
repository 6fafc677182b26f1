import type { SqlValue } from '../changes/sql-value.ts'

/** Which change of which version wrote something. The site is an ordinal of `crsql_site_id`. */
export interface Stamp {
  readonly site: number
  readonly version: number
  readonly seq: number
}

export interface ColumnClock extends Stamp {
  readonly colVersion: number
}

/** The row itself among its columns: its col_version is the causal length. */
export const ROW = -1

/**
 * The clocks of one row. Most rows were written whole by one version and never since: then `cl` and the
 * birth say all. Whatever was written later is an override by column ordinal.
 *
 * In the database: five integers, and the overrides as a flat JSON list
 * `[ordinal, colVersion, site, version, seq, ...]`, NULL when there are none.
 */
export class RowClock {
  /** Causal length: odd alive, even deleted. A row is born with 1. */
  cl: number
  /** Columns 0 to width-1 have col_version 1 and seqs from `birth.seq` on, unless overridden. */
  width: number
  birth: Stamp
  readonly overrides: Map<number, ColumnClock>

  constructor(cl: number, width: number, birth: Stamp, overrides = new Map<number, ColumnClock>()) {
    this.cl = cl
    this.width = width
    this.birth = birth
    this.overrides = overrides
  }

  get isAlive(): boolean {
    return this.cl % 2 === 1
  }

  get(ordinal: number): ColumnClock | undefined {
    const override = this.overrides.get(ordinal)
    if (override !== undefined) return override
    if (ordinal < 0 || ordinal >= this.width) return undefined
    const { site, version, seq } = this.birth
    return { colVersion: 1, site, version, seq: seq + ordinal }
  }

  set(ordinal: number, clock: ColumnClock): void {
    this.overrides.set(ordinal, clock)
  }

  /** The row begins a new life, or ends: nothing of its columns counts any more. */
  begin(cl: number, sentinel: Stamp | undefined): void {
    this.cl = cl
    this.width = 0
    this.overrides.clear()
    if (sentinel !== undefined) this.set(ROW, { ...sentinel, colVersion: cl })
  }

  /** States a row that one version wrote whole as its birth, which costs less to keep. */
  compact(columnCount: number): void {
    const first = this.overrides.get(0)
    if (this.width > 0 || first === undefined || this.overrides.size < columnCount) return
    for (let ordinal = 0; ordinal < columnCount; ordinal += 1) {
      const clock = this.overrides.get(ordinal)
      if (clock?.colVersion !== 1 || clock.seq !== first.seq + ordinal) return
      if (clock.site !== first.site || clock.version !== first.version) return
    }
    this.width = columnCount
    this.birth = { site: first.site, version: first.version, seq: first.seq }
    for (let ordinal = 0; ordinal < columnCount; ordinal += 1) this.overrides.delete(ordinal)
  }

  /** Whether anything of it was written by this version, and what: ordinals with their clocks. */
  *writtenBy(site: number, version: number): Generator<[number, ColumnClock]> {
    if (this.birth.site === site && this.birth.version === version) {
      for (let ordinal = 0; ordinal < this.width; ordinal += 1) {
        if (this.overrides.has(ordinal)) continue
        yield [ordinal, this.get(ordinal) as ColumnClock]
      }
    }
    for (const [ordinal, clock] of this.overrides) {
      if (clock.site === site && clock.version === version) yield [ordinal, clock]
    }
  }

  /** All column clocks, the sentinel's included. */
  *all(): Generator<[number, ColumnClock]> {
    for (let ordinal = 0; ordinal < this.width; ordinal += 1) {
      if (!this.overrides.has(ordinal)) yield [ordinal, this.get(ordinal) as ColumnClock]
    }
    yield* this.overrides
  }
}

/** As a clock table's row has it: cl, site, version, seq, width, overrides. */
export type ClockRow = [number, number, number, number, number, string | null]

export function decodeClock(row: readonly SqlValue[] | ClockRow): RowClock {
  const [cl, site, version, seq, width, text] = row as ClockRow
  return new RowClock(cl, width, { site, version, seq }, decodeOverrides(text))
}

function decodeOverrides(text: string | null): Map<number, ColumnClock> {
  const overrides = new Map<number, ColumnClock>()
  if (text === null) return overrides
  const list = JSON.parse(text) as number[]
  for (let at = 0; at < list.length; at += 5) {
    overrides.set(list[at] as number, {
      colVersion: list[at + 1] as number,
      site: list[at + 2] as number,
      version: list[at + 3] as number,
      seq: list[at + 4] as number,
    })
  }
  return overrides
}

export function encodeOverrides(overrides: ReadonlyMap<number, ColumnClock>): string | null {
  if (overrides.size === 0) return null
  let text = ''
  for (const [ordinal, { colVersion, site, version, seq }] of overrides) {
    text += `${text === '' ? '[' : ','}${ordinal},${colVersion},${site},${version},${seq}`
  }
  return `${text}]`
}
