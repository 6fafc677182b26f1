import { number, type PlatformRow, text } from './platform-rows.ts'

/** A host name's claim by one app, from one row of `certs`. */
interface Claim {
  readonly appId: string
  readonly isActive: boolean
  readonly updatedAtMs: number
}

/**
 * Which app a host name belongs to. Names come from the rows of `certs` (a row is what ties a name to an app,
 * with a certificate or without) and from the platform's own domain: `<app>.<domain>`.
 *
 * Wildcards (`*.example.com`) stand for exactly one label (RFC 6125, section 6.4.3). The exact name wins.
 */
export class HostnameIndex {
  /** By name, then by the host that wrote the row. */
  readonly #claims = new Map<string, Map<string, Claim>>()
  readonly #domain: string

  /** @param domain of the apps' own names, as `apps.example`; empty: they have none */
  constructor(domain: string) {
    this.#domain = domain === '' ? '' : `.${domain}`
  }

  put(row: PlatformRow): void {
    const name = text(row, 'hostname').toLowerCase()
    const claims = this.#claims.get(name) ?? new Map<string, Claim>()
    claims.set(text(row, 'host_id'), {
      appId: text(row, 'app_id'),
      isActive: text(row, 'state') === 'active',
      updatedAtMs: number(row, 'updated_at'),
    })
    this.#claims.set(name, claims)
  }

  remove(hostname: string, hostId: string): void {
    const name = hostname.toLowerCase()
    const claims = this.#claims.get(name)
    claims?.delete(hostId)
    if (claims?.size === 0) this.#claims.delete(name)
  }

  /**
   * @param hostname in lower case, without a port
   * @returns the id of the app, or the name of one below the platform's domain; undefined: nobody's
   */
  find(hostname: string): { readonly id: string } | { readonly name: string } | undefined {
    const exact = this.#winner(hostname)
    if (exact !== undefined) return { id: exact }
    const dot = hostname.indexOf('.')
    if (dot < 0) return undefined
    if (this.#domain !== '' && hostname.slice(dot) === this.#domain) {
      return { name: hostname.slice(0, dot) }
    }
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
