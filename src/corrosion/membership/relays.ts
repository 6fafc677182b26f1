/** A probe that is carried out for another node. */
export interface Relay {
  /** Address of the node that asked for it. */
  readonly origin: string
  readonly originProbe: number
  readonly forgetAtMs: number
}

const RELAYS_MAX = 256

/** Probes that are carried out for other nodes, by our own number of each. The oldest go first when they are too many. */
export class Relays {
  readonly #relays = new Map<number, Relay>()

  add(number: number, relay: Relay, nowMs: number): void {
    for (const [older, { forgetAtMs }] of this.#relays) {
      if (forgetAtMs <= nowMs || this.#relays.size >= RELAYS_MAX) this.#relays.delete(older)
      else break // the oldest stand first
    }
    this.#relays.set(number, relay)
  }

  /** It was answered. @returns undefined: it is none of these, or is forgotten */
  take(number: number): Relay | undefined {
    const relay = this.#relays.get(number)
    if (relay !== undefined) this.#relays.delete(number)
    return relay
  }
}
