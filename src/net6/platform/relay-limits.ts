import { formatSixPn, parseSixPn } from '../six-pn-address.ts'

export interface RelayLimitSizes {
  readonly connections: number
  /** Of one organisation's network. */
  readonly perNetwork: number
  /** Of one machine or device, which may have many addresses. */
  readonly perMachine: number
}

export const RELAY_LIMITS: RelayLimitSizes = { connections: 2_048, perNetwork: 512, perMachine: 64 }

/** How many connections are open, and for whom: so that one machine cannot take the platform's address from others. No I/O. */
export class RelayLimits {
  readonly #sizes: RelayLimitSizes
  readonly #counts = new Map<string, number>()
  #open = 0

  constructor(sizes: RelayLimitSizes = RELAY_LIMITS) {
    this.#sizes = sizes
  }

  get open(): number {
    return this.#open
  }

  /** @returns what gives the place back; undefined: there is none left for this source. @throws Net6Error net6.address_bad */
  take(source: string): (() => void) | undefined {
    const address = parseSixPn(source)
    const network = String(address.network)
    const machine = formatSixPn({ ...address, low: 0 })
    const { connections, perNetwork, perMachine } = this.#sizes
    if (this.#open >= connections) return undefined
    if (this.#of(network) >= perNetwork || this.#of(machine) >= perMachine) return undefined
    this.#add(network, 1)
    this.#add(machine, 1)
    this.#open += 1
    return () => {
      this.#open -= 1
      this.#add(network, -1)
      this.#add(machine, -1)
    }
  }

  #of(key: string): number {
    return this.#counts.get(key) ?? 0
  }

  #add(key: string, by: number): void {
    const count = this.#of(key) + by
    if (count > 0) this.#counts.set(key, count)
    else this.#counts.delete(key)
  }
}
