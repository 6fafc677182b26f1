/** Rows of one table, found by key and by group. */
export class Grouped<Row> {
  readonly #rows = new Map<string, Row>()
  readonly #groups = new Map<string, Map<string, Row>>()
  readonly #groupOf: (row: Row) => string

  constructor(groupOf: (row: Row) => string) {
    this.#groupOf = groupOf
  }

  get size(): number {
    return this.#rows.size
  }

  get(key: string): Row | undefined {
    return this.#rows.get(key)
  }

  set(key: string, row: Row | undefined): void {
    const old = this.#rows.get(key)
    if (old !== undefined) this.#remove(key, this.#groupOf(old))
    if (row === undefined) return
    this.#rows.set(key, row)
    const group = this.#groupOf(row)
    const members = this.#groups.get(group) ?? new Map<string, Row>()
    this.#groups.set(group, members.set(key, row))
  }

  group(name: string): IteratorObject<Row> {
    return this.#groups.get(name)?.values() ?? Iterator.from<Row>([])
  }

  values(): IteratorObject<Row> {
    return this.#rows.values()
  }

  #remove(key: string, group: string): void {
    this.#rows.delete(key)
    const members = this.#groups.get(group)
    members?.delete(key)
    if (members?.size === 0) this.#groups.delete(group)
  }
}
