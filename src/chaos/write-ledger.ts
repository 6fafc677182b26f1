/** The outcome that a writer was told of one write. */
export type Outcome = 'acknowledged' | 'refused' | 'unknown'

interface Register {
  /** Undefined: nothing was acknowledged yet, or last that it is gone. */
  acknowledged: string | undefined
  /** What may have been written without that anybody was told. */
  readonly possible: Set<string | undefined>
}

/**
 * What was written to the platform, by key, each by one writer at a time. A write whose outcome is unknown may
 * have happened, or may yet happen; one that was acknowledged is the value, unless such a one came after it.
 */
export class WriteLedger {
  readonly #registers = new Map<string, Register>()
  acknowledgedCount = 0
  unknownCount = 0

  /** @param value undefined: the key is to be gone */
  tell(key: string, value: string | undefined, outcome: Outcome): void {
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
      const isGood = found === acknowledged || possible.has(found)
      if (isGood) return []
      const said =
        acknowledged === undefined
          ? 'nothing was acknowledged, or that it is gone'
          : `'${acknowledged}' was acknowledged`
      return [`${key}: ${said}, and '${found ?? 'nothing'}' is there`]
    })
  }
}
