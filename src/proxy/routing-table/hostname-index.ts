import { number, type PlatformRow, text } from './platform-rows.ts'

/** A host name's claim by one app, from one row. */
interface Claim {
  readonly appId: string
  readonly isActive: boolean
  readonly updatedAtMs: number
}

/** In place of a host: no host has this id. */
const CUSTOM = ' custom'

/**
 * Which app a host name belongs to. Names come from the rows of `certs` and `custom_certs` (a row is what ties a name
 * to an app, with a certificate or without) and from the platform's own domain: `<app>.<domain>`, which no row
 * takes from the app.
 *
 * Wildcards (`*.example.com`) stand for exactly one label (RFC 6125, section 6.4.3). The exact name wins.
 */
export class HostnameIndex {
  /** By name, then by the host that wrote the row, or `CUSTOM`. */
  readonly #claims = new Map<string, Map<string, Claim>>()
  readonly #domain: string

  /** @param domain of the apps' own names, as `apps.example`; empty: they have none */
  constructor(domain: string) {
    this.#domain = domain === '' ? '' : `.${domain}`
  }

  /** A row of `certs`. */
  put(row: PlatformRow): void {
    this.#put(row, text(row, 'host_id'), text(row, 'state') === 'active')
  }

  remove(hostname: string, hostId: string): void {
    const name = hostname.toLowerCase()
    const claims = this.#claims.get(name)
    claims?.delete(hostId)
    if (claims?.size === 0) this.#claims.delete(name)
  }

  /** A row of `custom_certs`. */
  putCustom(row: PlatformRow): void {
    this.#put(row, CUSTOM, text(row, 'chain_pem') !== '')
  }

  removeCustom(hostname: string): void {
    this.remove(hostname, CUSTOM)
  }

  #put(row: PlatformRow, origin: string, isActive: boolean): void {
    const name = text(row, 'hostname').toLowerCase()
    const claims = this.#claims.get(name) ?? new Map<string, Claim>()
    const [appId, updatedAtMs] = [text(row, 'app_id'), number(row, 'updated_at')]
    claims.set(origin, { appId, isActive, updatedAtMs })
    this.#claims.set(name, claims)
  }

  /**
   * @param hostname in lower case, without a port
   * @returns the id of the app, or the name of one below the platform's domain; undefined: nobody's
   */
  find(hostname: string): { readonly id: string } | { readonly name: string } | undefined {
    const dot = hostname.indexOf('.')
    if (dot > 0 && this.#domain !== '' && hostname.slice(dot) === this.#domain) {
      return { name: hostname.slice(0, dot) }
    }
    const exact = this.#winner(hostname)
    if (exact !== undefined) return { id: exact }
    if (dot < 0) return undefined
    const wildcard = this.#winner(`*${hostname.slice(dot)}`)
    return wildcard === undefined ? undefined : { id: wildcard }
  }

  /** An active claim wins over one that nobody has proved yet, then the newest. */
  #winner(name: string): string | undefined {
    let best: Claim | undefined
    for (const claim of this.#claims.get(name)?.values() ?? []) {
      if (best === undefined || beats(claim, best)) best = claim
    }
    return best?.appId
  }
}

function beats(a: Claim, b: Claim): boolean {
  if (a.isActive !== b.isActive) return a.isActive
  return a.updatedAtMs > b.updatedAtMs || (a.updatedAtMs === b.updatedAtMs && a.appId < b.appId)
}
