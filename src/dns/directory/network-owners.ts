interface Claim {
  readonly networkId: number
  readonly orgId: string
}

/** Which organisation rows give each network to, found without a look at each row: each question asks it. */
export class NetworkOwners {
  readonly #claims = new Map<string, Claim>()
  /** How many rows say so, by network and organisation. */
  readonly #counts = new Map<number, Map<string, number>>()

  /** `key` is the row's; undefined: the row is gone. */
  set(key: string, claim: Claim | undefined): void {
    const old = this.#claims.get(key)
    if (old !== undefined) this.#count(old, -1)
    if (claim === undefined) {
      this.#claims.delete(key)
      return
    }
    this.#claims.set(key, claim)
    this.#count(claim, 1)
  }

  /** The one organisation; undefined when no row names the network, or rows name two for it. */
  ownerOf(networkId: number): string | undefined {
    const counts = this.#counts.get(networkId)
    if (counts?.size !== 1) return undefined
    const [orgId] = counts.keys()
    return orgId
  }

  #count({ networkId, orgId }: Claim, by: number): void {
    const counts = this.#counts.get(networkId) ?? new Map<string, number>()
    this.#counts.set(networkId, counts)
    const count = (counts.get(orgId) ?? 0) + by
    if (count > 0) counts.set(orgId, count)
    else counts.delete(orgId)
    if (counts.size === 0) this.#counts.delete(networkId)
  }
}
