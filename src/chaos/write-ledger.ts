/** The outcome that a writer was told of one write. */
export type Outcome = 'acknowledged' | 'refused' | 'unknown'

interface Register {
  /** Undefined: nothing was acknowledged yet. */
  acknowledged: string | undefined
  /** What may have been written without that anybody was told. */
  readonly possible: Set<string>
}

/**
 * What was written to the platform, by key, each by one writer at a time. A write whose outcome is unknown may
 * have happened, or may yet happen; one that was acknowledged is the value, unless such a one came after it.
 */
export class WriteLedger {
  readonly #registers = new Map<string, Register>()
  acknowledgedCount = 0
  unknownCount = 0

  tell(key: string, value: string, outcome: Outcome): void {
    const register = this.#registers.get(key) ?? { acknowledged: undefined, possible: new Set() }
    this.#registers.set(key, register)
    if (outcome === 'acknowledged') {
      register.acknowledged = value
      this.acknowledgedCount += 1
    } else if (outcome === 'unknown') {
      register.possible.add(value)
      this.unknownCount += 1
    }
  }

  /** What was lost, given what is there now. @param read undefined: the key is not there */
  losses(read: (key: string) => string | undefined): string[] {
    return [...this.#registers].flatMap(([key, { acknowledged, possible }]) => {
      const found = read(key)
      const isGood = found === acknowledged || (found !== undefined && possible.has(found))
      if (isGood) return []
      const said =
        acknowledged === undefined
          ? 'nothing was acknowledged'
          : `'${acknowledged}' was acknowledged`
      return [`${key}: ${said}, and '${found ?? 'nothing'}' is there`]
    })
  }
}
