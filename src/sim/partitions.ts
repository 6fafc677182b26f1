import type { Kernel } from './kernel.ts'
import type { Network } from './network.ts'

/**
 * Cuts between nodes. While a direction is cut nothing arrives in it, what was already in flight
 * included. Cuts add up: a link is whole when every cut over it is disposed.
 */
export class Partitions {
  readonly #kernel: Kernel
  readonly #network: Network
  readonly #open = new Set<Disposable>()

  constructor(kernel: Kernel, network: Network) {
    this.#kernel = kernel
    this.#network = network
  }

  get count(): number {
    return this.#open.size
  }

  /** One way: `from` no longer reaches `to`, while `to` still reaches `from`. */
  cut(from: readonly string[], to: readonly string[]): Disposable {
    return this.#apply(`cut ${from.join(',')} -> ${to.join(',')}`, this.#pairs(from, to))
  }

  /** Both ways between the groups; nodes that are in no group keep all their links. */
  split(...groups: readonly (readonly string[])[]): Disposable {
    const pairs = groups.flatMap((group, at) =>
      groups.flatMap((other, otherAt) => (at === otherAt ? [] : this.#pairs(group, other))),
    )
    return this.#apply(`partition ${groups.map((group) => group.join(',')).join(' | ')}`, pairs)
  }

  healAll(): void {
    for (const cut of [...this.#open]) cut[Symbol.dispose]()
  }

  #pairs(from: readonly string[], to: readonly string[]): [number, number][] {
    return from.flatMap((source) =>
      to
        .filter((target) => target !== source)
        .map((target): [number, number] => [this.#index(source), this.#index(target)]),
    )
  }

  #index(id: string): number {
    const host = this.#network.find(id)
    if (host === undefined) throw new RangeError(`no node ${id} to cut off`)
    return host.index
  }

  #apply(what: string, pairs: readonly [number, number][]): Disposable {
    this.#add(pairs, 1)
    this.#kernel.recordWorld(what)
    const cut = {
      [Symbol.dispose]: () => {
        if (!this.#open.delete(cut)) return
        this.#add(pairs, -1)
        this.#kernel.recordWorld(`heal ${what}`)
      },
    }
    this.#open.add(cut)
    return cut
  }

  #add(pairs: readonly [number, number][], change: 1 | -1): void {
    for (const [from, to] of pairs) this.#network.links.cut(from, to, change)
  }
}
