import type { Clock, Log } from '#base'
import type { Certificate, Certificates } from '../certificates.ts'
import { issueLocally, openLocalAuthority } from './local-authority.ts'

export interface LocalCertificatesOptions {
  /** Of the local authority: the same on all edges, so that one `ca.pem` is enough. */
  readonly folder: string
  /** `*.<domain>` is what it signs. */
  readonly appDomain: string
  readonly clock: Clock
  readonly log: Log
}

/** Of the 90 days that it is valid; and less than a timer's longest, which is 24 days. */
const RENEW_MS = 20 * 24 * 3_600_000
const RETRY_MS = 60_000

/** A certificate of the local authority for the apps' own names, renewed in time. */
export class LocalCertificates implements Disposable {
  readonly #options: LocalCertificatesOptions
  readonly #suffix: string
  #own: Certificate
  #timer: Disposable | undefined

  private constructor(options: LocalCertificatesOptions, own: Certificate) {
    this.#options = options
    this.#suffix = `.${options.appDomain}`
    this.#own = own
    this.#arm(RENEW_MS)
  }

  /** @throws CertificateError certificates.ca_bad; what the system says of the folder */
  static async open(options: LocalCertificatesOptions): Promise<LocalCertificates> {
    return new LocalCertificates(options, await issue(options))
  }

  /** For `<app>.<domain>`, and for ports whose `default_self_signed` takes any name. */
  find(name: string, selfSigned: boolean): Certificate | undefined {
    const isOwn = name.endsWith(this.#suffix) && !name.slice(0, -this.#suffix.length).includes('.')
    return isOwn || selfSigned ? this.#own : undefined
  }

  #arm(waitMs: number): void {
    this.#timer = this.#options.clock.setTimer(() => {
      issue(this.#options).then(
        (own) => {
          this.#own = own
          this.#arm(RENEW_MS)
        },
        (error: unknown) => {
          this.#options.log.error({ err: error }, 'the local certificate cannot be renewed')
          this.#arm(RETRY_MS)
        },
      )
    }, waitMs)
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]()
  }
}

async function issue({ folder, appDomain, clock }: LocalCertificatesOptions): Promise<Certificate> {
  const nowMs = clock.nowMs()
  const authority = await openLocalAuthority(folder, nowMs)
  return issueLocally(authority, [`*.${appDomain}`, appDomain], nowMs)
}

/** What rows say comes first. */
export const withLocal = (
  stored: Certificates,
  local: LocalCertificates | undefined,
): Certificates =>
  local === undefined
    ? stored
    : {
        find: (name, selfSigned) => stored.find(name, false) ?? local.find(name, selfSigned),
        challenge: (name) => stored.challenge(name),
        httpAnswer: (hostname, token) => stored.httpAnswer?.(hostname, token),
      }
