import type { Certificate } from '../certificates.ts'
import { TlsContext, type TlsSettings } from './tls-context.ts'

/** Contexts that are kept: one for each certificate and way of showing it. */
const CONTEXTS_MAX = 20_000

/** OpenSSL contexts by certificate and settings, made when first shown; the least recently used go. */
export class TlsContexts {
  #ticketKey: Uint8Array
  readonly #contexts = new Map<Certificate, Map<string, TlsContext>>()

  constructor(ticketKey: Uint8Array) {
    this.#ticketKey = ticketKey
  }

  /** @throws ProxyError proxy.certificate_bad */
  get(certificate: Certificate, settings: TlsSettings): TlsContext {
    let bySettings = this.#contexts.get(certificate)
    if (bySettings === undefined) {
      this.#evict()
      bySettings = new Map()
    } else this.#contexts.delete(certificate) // to the end: recently used
    this.#contexts.set(certificate, bySettings)
    const key = `${settings.minVersion} ${settings.maxVersion} ${settings.alpn.join()}`
    const known = bySettings.get(key)
    if (known !== undefined) return known
    const context = new TlsContext(certificate, settings, this.#ticketKey)
    bySettings.set(key, context)
    return context
  }

  /** Tickets are sealed and opened with this key from now on; older ones cost a full handshake. */
  useTicketKey(ticketKey: Uint8Array): void {
    this.#ticketKey = ticketKey
    for (const bySettings of this.#contexts.values()) {
      for (const context of bySettings.values()) context.setTicketKey(ticketKey)
    }
  }

  #evict(): void {
    if (this.#contexts.size < CONTEXTS_MAX) return
    for (const [certificate, bySettings] of this.#contexts) {
      this.#contexts.delete(certificate)
      for (const context of bySettings.values()) context[Symbol.dispose]()
      return
    }
  }
}
