import type { MeshPeerState } from '../mesh/wireguard-dump.ts'

/** Which peers had a new handshake since they were last told of: every byte would be too much to tell all hosts. */
export class LinkNews {
  readonly #toldMs = new Map<string, number>()

  of(peers: readonly MeshPeerState[]): { changed: MeshPeerState[]; gone: string[] } {
    const changed = peers.filter(
      ({ publicKey, handshakeMs }) =>
        handshakeMs > 0 && this.#toldMs.get(publicKey) !== handshakeMs,
    )
    const present = new Set(peers.map(({ publicKey }) => publicKey))
    const gone = [...this.#toldMs.keys()].filter((key) => !present.has(key))
    for (const { publicKey, handshakeMs } of changed) this.#toldMs.set(publicKey, handshakeMs)
    for (const key of gone) this.#toldMs.delete(key)
    return { changed, gone }
  }

  /** What was told last may not have arrived. */
  forget(): void {
    this.#toldMs.clear()
  }
}
