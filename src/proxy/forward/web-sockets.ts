/** An open WebSocket of a client. */
export interface WebSocketTunnel {
  readonly machine: string
  /** Tells the client that the machine goes away; ends when both have closed, or after `lingerMs`. */
  goAway(): void
}

/** The WebSockets of this process, by the machine that they lead to. */
export class WebSockets {
  readonly #ofMachine = new Map<string, Set<WebSocketTunnel>>()

  add(tunnel: WebSocketTunnel): void {
    const tunnels = this.#ofMachine.get(tunnel.machine)
    if (tunnels === undefined) this.#ofMachine.set(tunnel.machine, new Set([tunnel]))
    else tunnels.add(tunnel)
  }

  remove(tunnel: WebSocketTunnel): void {
    const tunnels = this.#ofMachine.get(tunnel.machine)
    if (tunnels?.delete(tunnel) === true && tunnels.size === 0)
      this.#ofMachine.delete(tunnel.machine)
  }

  /** @param machine undefined: of all machines. @returns how many were told */
  goAway(machine?: string): number {
    const sets =
      machine === undefined ? [...this.#ofMachine.values()] : [this.#ofMachine.get(machine) ?? []]
    const tunnels = sets.flatMap((set) => [...set])
    for (const tunnel of tunnels) tunnel.goAway()
    return tunnels.length
  }
}
