import type { Directory } from '../directory/directory.ts'
import { ipv6Bytes } from '../directory/six-pn.ts'
import { CLASS_IN, RCODE, TYPE } from '../wire/constants.ts'
import { encodeName, isWithin, type Labels, labelsOf } from '../wire/names.ts'
import { caaData, soaData, txtData } from '../wire/record-data.ts'
import { type Answer, failure, type ResourceRecord } from '../wire/reply.ts'

export interface PublicZoneOptions {
  /** The zone that was delegated, such as `apps.example.org`. */
  readonly domain: string
  /** Names of the servers that it was delegated to; the first is the SOA's primary. At least one. */
  readonly nameServers: readonly string[]
  /** Who may issue certificates (RFC 8659). None: everyone. */
  readonly issuers?: readonly string[]
  /** @default 60 */
  readonly ttlSeconds?: number
}

/**
 * `<app>.<domain>` for everyone: the app's public addresses, and its ACME challenges. A name below an app is the
 * app's (`*.<app>.<domain>`, RFC 4592), underscored names apart.
 */
export class PublicZone {
  readonly #directory: Directory
  readonly #zone: Labels
  readonly #options: PublicZoneOptions
  readonly #ttlSeconds: number

  /** @throws DnsError dns.name_bad */
  constructor(directory: Directory, options: PublicZoneOptions) {
    this.#directory = directory
    this.#options = options
    this.#zone = labelsOf(options.domain)
    for (const name of [options.domain, ...options.nameServers]) encodeName(labelsOf(name))
    this.#ttlSeconds = options.ttlSeconds ?? 60
  }

  answer(labels: Labels, type: number, dnsClass: number): Answer {
    if (dnsClass !== CLASS_IN || !isWithin(labels, this.#zone)) return failure(RCODE.REFUSED)
    const prefix = labels.slice(0, labels.length - this.#zone.length)
    const records = prefix.length === 0 ? this.#apex() : this.#below(prefix)
    if (records === undefined) return this.#negative(RCODE.NXDOMAIN)
    const answers = records.filter((record) => type === record.type || type === TYPE.ANY)
    if (answers.length === 0) return this.#negative(RCODE.NOERROR)
    return { rcode: RCODE.NOERROR, isAuthoritative: true, answers, authority: [] }
  }

  #below(prefix: Labels): ResourceRecord[] | undefined {
    const app = prefix.at(-1) as string
    if (prefix[0] === '_acme-challenge') {
      const hostname = [...prefix.slice(1), ...this.#zone].join('.')
      const answers = this.#directory.challenges(hostname)
      if (answers.length > 0)
        return answers.map((text) => this.#record(TYPE.TXT, txtData([text], '')))
    }
    const isHidden = prefix.some((label) => label.startsWith('_'))
    if (isHidden || !this.#directory.isApp(app)) return undefined
    const { v4, v6 } = this.#directory.publicAddresses(app)
    return [
      ...v4.map((text) => this.#record(TYPE.A, Buffer.from(text.split('.').map(Number)))),
      ...v6.map((text) => this.#record(TYPE.AAAA, ipv6Bytes(text))),
    ]
  }

  #apex(): ResourceRecord[] {
    const { nameServers, issuers = [] } = this.#options
    return [
      this.#soa(),
      ...nameServers.map((name) => this.#record(TYPE.NS, encodeName(labelsOf(name)))),
      ...issuers.map((name) => this.#record(TYPE.CAA, caaData('issue', name))),
    ]
  }

  #soa(): ResourceRecord {
    const data = soaData({
      primary: labelsOf(this.#options.nameServers[0] ?? ''),
      mailbox: ['hostmaster', ...this.#zone],
      serial: this.#directory.version,
      minimumSeconds: this.#ttlSeconds,
    })
    return { ...this.#record(TYPE.SOA, data), ownerLabels: this.#zone.length }
  }

  #record(type: number, data: Uint8Array): ResourceRecord {
    return { type, ttlSeconds: this.#ttlSeconds, data }
  }

  #negative(rcode: number): Answer {
    return { rcode, isAuthoritative: true, answers: [], authority: [this.#soa()] }
  }
}
