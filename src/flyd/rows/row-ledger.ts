import {
  type Cell,
  deleteRow,
  type Row,
  type RowTable,
  rowId,
  rowText,
  type Statement,
  writeRow,
} from './row.ts'

/** A row as the replica has it: the columns that this host writes. */
export interface StoredRow {
  readonly table: RowTable
  readonly key: readonly Cell[]
  readonly text: string
}

/** What of one subject is to be written, and what will then be published. */
export interface RowChange {
  readonly subject: string
  readonly statements: readonly Statement[]
  readonly rows: ReadonlyMap<string, StoredRow>
}

/**
 * What is published of each subject (a machine, a volume, the host itself), so that only what changed is
 * written, and what a subject has no more is deleted. Pure.
 */
export class RowLedger {
  readonly #hostId: string
  readonly #published = new Map<string, ReadonlyMap<string, StoredRow>>()

  constructor(hostId: string) {
    this.#hostId = hostId
  }

  /** Rows that it knows to be published. */
  get rowCount(): number {
    return this.#published.values().reduce((sum, { size }) => sum + size, 0)
  }

  /**
   * The replica has exactly these rows of this host. @returns the subjects that they belong to, known or
   * not: each must be compared.
   */
  reconcile(rows: Iterable<StoredRow>): Set<string> {
    this.#published.clear()
    const bySubject = new Map<string, Map<string, StoredRow>>()
    for (const row of rows) {
      const subject = subjectOfRow(row)
      const known = bySubject.get(subject) ?? new Map<string, StoredRow>()
      known.set(rowId(row), row)
      bySubject.set(subject, known)
    }
    for (const [subject, known] of bySubject) this.#published.set(subject, known)
    return new Set(bySubject.keys())
  }

  /** What makes the published rows of `subject` be `wanted`. */
  compare(subject: string, wanted: readonly Row[]): RowChange {
    const before = this.#published.get(subject) ?? new Map<string, StoredRow>()
    const rows = new Map<string, StoredRow>()
    const statements: Statement[] = []
    for (const row of wanted) {
      const [id, text] = [rowId(row), rowText(row.table, row.cells)]
      rows.set(id, { table: row.table, key: row.key, text })
      if (before.get(id)?.text !== text) statements.push(writeRow(row))
    }
    for (const [id, { table, key }] of before) {
      if (!rows.has(id)) statements.push(deleteRow(table, key, this.#hostId))
    }
    return { subject, statements, rows }
  }

  /** The change is in the replica. */
  wrote({ subject, rows }: RowChange): void {
    if (rows.size === 0) this.#published.delete(subject)
    else this.#published.set(subject, rows)
  }
}

export const HOST_SUBJECT = 'host'
export const machineSubject = (id: string) => `machine ${id}`
export const volumeSubject = (id: string) => `volume ${id}`
/** Apart from the machine, for they change on their own. */
export const checksSubject = (machineId: string) => `checks ${machineId}`

function subjectOfRow({ table, key: [first] }: StoredRow): string {
  switch (table) {
    case 'hosts':
    case 'regions':
      return HOST_SUBJECT
    case 'machines':
    case 'services':
      return machineSubject(String(first))
    case 'checks':
      return checksSubject(String(first))
    case 'volumes':
      return volumeSubject(String(first))
  }
}
