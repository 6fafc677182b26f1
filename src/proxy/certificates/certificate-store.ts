import type { Log } from '#base'
import type { Certificate, Certificates } from '../certificates.ts'
import { bytes, number, type PlatformRow, text } from '../routing-table/platform-rows.ts'
import type { EdgeKeyRing } from './edge-key-ring.ts'
import { makeAlpnChallenge } from './issue-certificate.ts'

/** What somebody brought wins over what the platform got, which stays behind it as the way back. */
const SOURCES = ['local', 'acme', 'custom']
/** In place of a host: no host has this id. */
const CUSTOM = ' custom'

interface StoredCertificate {
  /** The host that got it, or `CUSTOM`. */
  readonly origin: string
  readonly sealedFor: string
  readonly rank: number
  readonly chain: string
  readonly sealedKey: Uint8Array
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** Unsealed when first needed; null: it cannot be; `later`: once the key that it is sealed with is in the ring. */
  opened: Certificate | null | 'later' | undefined
}

export interface CertificateStoreOptions {
  readonly keys: EdgeKeyRing
  readonly nowMs: () => number
  readonly log: Log
  /** Of the apps' own names: for these no app brings a certificate. @default none */
  readonly appDomain?: string | undefined
  /** For ports that ask for it, and for names of the platform while there is nothing better. */
  readonly selfSigned?: ((name: string) => Certificate | undefined) | undefined
}

/** What the row of a private key is sealed to: it opens for no other name and no other host's row. */
export const sealContext = (hostname: string, hostId: string): string =>
  `certs ${hostname.toLowerCase()} ${hostId}`

/** The same for what somebody brought: it opens for no other name. */
export const customSealContext = (hostname: string): string =>
  `custom_certs ${hostname.toLowerCase()}`

/**
 * Certificates by server name, from the rows of `certs` and `custom_certs`, and the answers to challenges from those of
 * `acme_challenges`. Several rows may stand for one name: of those that are valid now, a custom one wins over an
 * ACME one, then the one that is valid longest.
 */
export class CertificateStore implements Certificates {
  readonly #options: CertificateStoreOptions
  readonly #byName = new Map<string, StoredCertificate[]>()
  /** By name: TLS-ALPN-01 certificates that are shown while their rows live. */
  readonly #challenges = new Map<string, { readonly answer: string; certificate?: Certificate }>()
  /** By `hostname token`. */
  readonly #httpAnswers = new Map<string, { readonly answer: string; readonly expiresMs: number }>()

  constructor(options: CertificateStoreOptions) {
    this.#options = options
  }

  find(name: string, selfSigned: boolean): Certificate | undefined {
    const dot = name.indexOf('.')
    const own = this.#best(name) ?? (dot > 0 ? this.#best(`*${name.slice(dot)}`) : undefined)
    if (own !== undefined) return own
    return selfSigned ? this.#options.selfSigned?.(name) : undefined
  }

  challenge(name: string): Certificate | undefined {
    return this.#challenges.get(name)?.certificate
  }

  /** The body for `/.well-known/acme-challenge/<token>` (RFC 8555, section 8.3). */
  httpAnswer(hostname: string, token: string): string | undefined {
    const found = this.#httpAnswers.get(`${hostname} ${token}`)
    return found !== undefined && found.expiresMs > this.#options.nowMs() ? found.answer : undefined
  }

  /** A row of `certs`. */
  put(row: PlatformRow): void {
    const [name, origin] = [text(row, 'hostname').toLowerCase(), text(row, 'host_id')]
    if (text(row, 'state') === 'deleted') {
      this.#remove(name, origin)
      return
    }
    const rank = SOURCES.indexOf(text(row, 'source'))
    this.#put(row, { origin, rank, sealedFor: sealContext(name, origin) })
  }

  remove(hostname: string, hostId: string): void {
    this.#remove(hostname.toLowerCase(), hostId)
  }

  /** A row of `custom_certs`. One for a name of the platform's own domain counts as none. */
  putCustom(row: PlatformRow): void {
    const name = text(row, 'hostname').toLowerCase()
    const { appDomain = '' } = this.#options
    if (appDomain !== '' && (name === appDomain || name.endsWith(`.${appDomain}`))) return
    const rank = SOURCES.indexOf('custom')
    this.#put(row, { origin: CUSTOM, rank, sealedFor: customSealContext(name) })
  }

  removeCustom(hostname: string): void {
    this.#remove(hostname.toLowerCase(), CUSTOM)
  }

  /** A row of `acme_challenges`. Resolves when a TLS-ALPN-01 certificate can be shown. */
  async putChallenge(row: PlatformRow): Promise<void> {
    const hostname = text(row, 'hostname').toLowerCase()
    const answer = text(row, 'answer')
    if (text(row, 'kind') === 'http-01') {
      const expiresMs = number(row, 'expires_at')
      this.#httpAnswers.set(`${hostname} ${text(row, 'token')}`, { answer, expiresMs })
      return
    }
    if (text(row, 'kind') !== 'tls-alpn-01') return
    const entry: { answer: string; certificate?: Certificate } = { answer }
    this.#challenges.set(hostname, entry)
    entry.certificate = await makeAlpnChallenge(hostname, answer, this.#options.nowMs())
  }

  removeChallenge(row: PlatformRow): void {
    const hostname = text(row, 'hostname').toLowerCase()
    this.#httpAnswers.delete(`${hostname} ${text(row, 'token')}`)
    const shown = this.#challenges.get(hostname)
    if (shown?.answer === text(row, 'answer')) this.#challenges.delete(hostname)
  }

  #put(row: PlatformRow, as: Pick<StoredCertificate, 'origin' | 'rank' | 'sealedFor'>): void {
    const name = text(row, 'hostname').toLowerCase()
    this.#remove(name, as.origin)
    const sealedKey = bytes(row, 'sealed_key')
    const chain = text(row, 'chain_pem')
    if (sealedKey === undefined || chain === '') return
    const [notBeforeMs, notAfterMs] = [number(row, 'not_before'), number(row, 'not_after')]
    const stored = { ...as, chain, sealedKey, notBeforeMs, notAfterMs, opened: undefined }
    this.#byName.set(name, [...(this.#byName.get(name) ?? []), stored])
  }

  #remove(name: string, origin: string): void {
    const others = (this.#byName.get(name) ?? []).filter((stored) => stored.origin !== origin)
    if (others.length === 0) this.#byName.delete(name)
    else this.#byName.set(name, others)
  }

  #best(name: string): Certificate | undefined {
    const all = this.#byName.get(name)
    if (all === undefined) return undefined
    const nowMs = this.#options.nowMs()
    let best: StoredCertificate | undefined
    for (const stored of all) {
      if (stored.opened === null || stored.notBeforeMs > nowMs || stored.notAfterMs <= nowMs)
        continue
      if (stored.opened === 'later') {
        if (!this.#options.keys.hasKeyOf(stored.sealedKey)) continue
        stored.opened = undefined
      }
      if (best === undefined || isBetter(stored, best)) best = stored
    }
    if (best === undefined) return undefined
    best.opened ??= this.#open(name, best)
    if (best.opened === null || best.opened === 'later') return this.#best(name) // the next best
    return best.opened
  }

  #open(name: string, stored: StoredCertificate): Certificate | null | 'later' {
    const { keys, log } = this.#options
    const isKeyThere = keys.hasKeyOf(stored.sealedKey)
    try {
      const key = keys.open(stored.sealedKey, stored.sealedFor).toString('utf8')
      return { chain: stored.chain, key }
    } catch (error) {
      log.error({ err: error, hostname: name }, 'a certificate cannot be used')
      return isKeyThere ? null : 'later'
    }
  }
}

const isBetter = (a: StoredCertificate, b: StoredCertificate) =>
  a.rank > b.rank || (a.rank === b.rank && a.notAfterMs > b.notAfterMs)
