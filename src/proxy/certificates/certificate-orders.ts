import { X509Certificate } from 'node:crypto'
import type { Clock, Log, Random } from '#base'
import type { PlatformRow } from '../routing-table/platform-rows.ts'
import { type AcmeAuthority, makeRequest } from './acme-authority.ts'
import {
  type ChallengeView,
  challengesFor,
  failed,
  nextStep,
  type OrderRecord,
  type OrderStep,
} from './acme-order.ts'
import { sealContext } from './certificate-store.ts'
import type { EdgeKeyRing } from './edge-key-ring.ts'
import { CertificateError } from './errors.ts'
import { makePrivateKey } from './issue-certificate.ts'
import type { OrderRecords } from './order-records.ts'
import { renewAtMs } from './renewal-duty.ts'

/** Writes this host's own rows into corrosion; each call may run twice. */
export interface CertificateRows {
  putCertificate(row: PlatformRow): Promise<void>
  putChallenge(row: PlatformRow): Promise<void>
  removeChallenge(hostname: string, token: string): Promise<void>
}

/** Puts a TXT record at `_acme-challenge.<name>` and takes it away: a program or API of the operator's. */
export interface DnsHook {
  present(name: string, value: string): Promise<void>
  remove(name: string, value: string): Promise<void>
}

export interface CertificateOrdersOptions {
  readonly ownHostId: string
  readonly authority: AcmeAuthority
  readonly rows: CertificateRows
  readonly records: OrderRecords
  readonly keys: EdgeKeyRing
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly dns?: DnsHook | undefined
  /** An answer must have reached every edge before the authority looks. @default 5,000 */
  readonly publishMs?: number
}

const STEPS_MAX = 200
const CHALLENGE_MS = 3_600_000
const PUBLISH_MS = 5_000

export type OrderEnd = 'issued' | 'failed' | 'later'

/** Carries orders out: asks where each is, does the next step, remembers, until it ends. */
export class CertificateOrders {
  readonly #options: CertificateOrdersOptions
  /** Challenges whose answer this process has published, by URL. */
  readonly #answered = new Set<string>()

  constructor(options: CertificateOrdersOptions) {
    this.#options = options
  }

  /**
   * Gets a certificate for a name; after a kill it goes on where it was. May run twice.
   * @throws what the disk or corrosion says: try again, nothing is lost
   */
  async run(hostname: string, appId: string, signal: AbortSignal): Promise<OrderEnd> {
    const { records, clock } = this.#options
    let record = records.load(hostname) ?? (await this.#newRecord(hostname))
    if (clock.nowMs() < record.notBeforeMs) return 'later'
    try {
      for (let step = 0; step < STEPS_MAX; step += 1) {
        signal.throwIfAborted()
        const next = await this.#next(record)
        if (next.type === 'download') {
          await this.#store(record, appId)
          return 'issued'
        }
        if (next.type === 'fail') return await this.#fail(record, next.reason, 0)
        record = await this.#act(record, next, signal)
      }
      return await this.#fail(record, 'the authority did not come to an end', 0)
    } catch (error) {
      if (!(error instanceof CertificateError)) throw error
      const retryAfterMs = Number(error.values['retryAfterMs'] ?? 0)
      return await this.#fail(record, String(error.values['reason'] ?? error.what), retryAfterMs)
    }
  }

  async #newRecord(hostname: string): Promise<OrderRecord> {
    const key = await makePrivateKey()
    const csr = await makeRequest(hostname, key)
    const record: OrderRecord = {
      ...{ hostname, key, csr, orderUrl: undefined, failures: 0, notBeforeMs: 0 },
      lastError: undefined,
    }
    await this.#options.records.save(record)
    return record
  }

  async #next(record: OrderRecord): Promise<OrderStep> {
    const { authority, dns } = this.#options
    const view = record.orderUrl === undefined ? undefined : await authority.view(record.orderUrl)
    const preferred = challengesFor(record.hostname, dns !== undefined, false)
    return nextStep(record, view, preferred, ({ url }) => this.#answered.has(url))
  }

  async #act(record: OrderRecord, step: OrderStep, signal: AbortSignal): Promise<OrderRecord> {
    const { authority, records, clock } = this.#options
    if (step.type === 'order') {
      const orderUrl = await authority.order(record.hostname)
      const ordered = { ...record, orderUrl }
      await records.save(ordered)
      return ordered
    }
    if (step.type === 'answer') await this.#answer(record, step.challenge, signal)
    if (step.type === 'finalize') {
      await authority.finalize(record.orderUrl as string, record.csr)
    }
    if (step.type === 'poll') await clock.sleep(step.afterMs, signal)
    return record
  }

  async #answer(record: OrderRecord, challenge: ChallengeView, signal: AbortSignal): Promise<void> {
    const { authority, rows, clock, dns, ownHostId, publishMs = PUBLISH_MS } = this.#options
    const answer = await authority.keyAuthorization(challenge)
    const { hostname } = record
    if (challenge.type === 'dns-01') await dns?.present(dnsNameOf(hostname), answer)
    else {
      await rows.putChallenge({
        ...{ hostname, token: challenge.token, host_id: ownHostId, kind: challenge.type, answer },
        expires_at: clock.nowMs() + CHALLENGE_MS,
      })
    }
    await clock.sleep(publishMs, signal)
    await authority.answer(challenge)
    this.#answered.add(challenge.url)
  }

  async #store(record: OrderRecord, appId: string): Promise<void> {
    const { authority, rows, records, keys, clock, random, ownHostId, log } = this.#options
    const { hostname } = record
    const chain = await authority.download(record.orderUrl as string)
    const leaf = new X509Certificate(chain)
    const notBeforeMs = leaf.validFromDate.getTime()
    const notAfterMs = leaf.validToDate.getTime()
    await rows.putCertificate({
      ...{ hostname, host_id: ownHostId, app_id: appId, source: 'acme', state: 'active' },
      chain_pem: chain,
      sealed_key: keys.seal(Buffer.from(record.key), sealContext(hostname, ownHostId)),
      not_before: notBeforeMs,
      not_after: notAfterMs,
      renew_at: renewAtMs(notBeforeMs, notAfterMs, random.next()),
      updated_at: clock.nowMs(),
    })
    await this.#cleanUp(record)
    records.remove(hostname) // last: until here a kill only repeats what was done
    log.info({ hostname, notAfter: leaf.validTo }, 'certificate issued')
  }

  async #fail(record: OrderRecord, reason: string, retryAfterMs: number): Promise<OrderEnd> {
    const { records, clock, log } = this.#options
    const later = failed(record, reason, retryAfterMs, clock.nowMs())
    await this.#cleanUp(record)
    await records.save(later)
    log.warn({ hostname: record.hostname, reason, nextAt: later.notBeforeMs }, 'no certificate')
    return 'failed'
  }

  /** Answers that nobody will look at again. */
  async #cleanUp({ orderUrl, hostname }: OrderRecord): Promise<void> {
    if (orderUrl === undefined) return
    const { authority, rows, dns } = this.#options
    const view = await authority.view(orderUrl).catch(() => undefined) // expiry removes them, too
    for (const { challenges } of view?.authorizations ?? []) {
      for (const challenge of challenges) {
        if (!this.#answered.delete(challenge.url)) continue
        if (challenge.type === 'dns-01') {
          const answer = await authority.keyAuthorization(challenge)
          await dns?.remove(dnsNameOf(hostname), answer)
        } else await rows.removeChallenge(hostname, challenge.token)
      }
    }
  }
}

/** RFC 8555, section 8.4: for a wildcard the name without it. */
const dnsNameOf = (hostname: string) => `_acme-challenge.${hostname.replace(/^\*\./, '')}`
