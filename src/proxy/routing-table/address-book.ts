import { canonicalAddress } from './canonical-address.ts'
import { number, type PlatformRow, text } from './platform-rows.ts'

export type AddressKind = 'v4' | 'shared_v4' | 'v6' | 'private_v6'
const ADDRESS_KINDS: readonly string[] = ['v4', 'shared_v4', 'v6', 'private_v6']

/** An address of apps: a shared one has several. */
export interface AddressEntry {
  readonly address: string
  readonly kind: AddressKind
  /** 6PN network that may reach a private address; 0 for others. */
  readonly networkId: number
  readonly appIds: Set<string>
}

/**
 * At which address which apps are. Addresses of this host itself stand beside the shared ones: who comes there names an
 * app, and every app that has a shared address is to be had. A row that gives such an address to apps counts more.
 */
export class AddressBook implements Iterable<AddressEntry> {
  /** By address, of rows. */
  readonly #given = new Map<string, AddressEntry>()
  readonly #own: ReadonlyMap<string, AddressEntry>
  /** Apps that the addresses of this host lead to. */
  readonly #shared = new Set<string>()
  /** Of apps that have any: their shared addresses. */
  readonly #sharedOf = new Map<string, Set<string>>()

  constructor(own: readonly string[]) {
    const appIds = this.#shared
    const entries = own
      .map(canonicalAddress)
      .map((address): [string, AddressEntry] => [
        address,
        { address, kind: 'shared_v4', networkId: 0, appIds },
      ])
    this.#own = new Map(entries)
  }

  *[Symbol.iterator](): Iterator<AddressEntry> {
    yield* this.#given.values()
    for (const entry of this.#own.values()) {
      if (entry.appIds.size > 0 && !this.#given.has(entry.address)) yield entry
    }
  }

  get(address: string): AddressEntry | undefined {
    const given = this.#given.get(address)
    if (given !== undefined) return given
    const own = this.#own.get(address)
    return own !== undefined && own.appIds.size > 0 ? own : undefined
  }

  /** A row of `ips`. */
  put(row: PlatformRow): void {
    const address = canonicalAddress(text(row, 'address'))
    const kind = text(row, 'kind')
    if (!ADDRESS_KINDS.includes(kind)) return
    const appId = text(row, 'app_id')
    const appIds = this.#given.get(address)?.appIds ?? new Set<string>()
    appIds.add(appId)
    const networkId = number(row, 'network_id')
    this.#given.set(address, { address, kind: kind as AddressKind, networkId, appIds })
    if (kind !== 'shared_v4') return
    this.#shared.add(appId)
    const shared = this.#sharedOf.get(appId) ?? new Set()
    this.#sharedOf.set(appId, shared.add(address))
  }

  remove(row: PlatformRow): void {
    const address = canonicalAddress(text(row, 'address'))
    const appId = text(row, 'app_id')
    const entry = this.#given.get(address)
    entry?.appIds.delete(appId)
    if (entry?.appIds.size === 0) this.#given.delete(address)
    const shared = this.#sharedOf.get(appId)
    shared?.delete(address)
    if (shared?.size !== 0) return
    this.#sharedOf.delete(appId)
    this.#shared.delete(appId)
  }
}
