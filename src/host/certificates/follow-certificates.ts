import { type Clock, errorCode, followFiles, type Log, type Random } from '#base'
import type { ApiClient } from '#corrosion'
import type { TrustRow } from '#trust'
import { type HostConfig, hasRole } from '../host-config.ts'
import { placesOf } from '../parts/derived-part.ts'
import { readHostSecrets, trustOf } from './host-secrets.ts'
import { publishTrust, trustRows } from './publish-trust.ts'
import { type Renewed, renewCertificates } from './renew-certificates.ts'

const LOOK_MS = 2_000
const PERIOD_MS = 300_000
/** A gateway asks nobody but itself. */
const WAITING_MS = 2_000
const AGAIN_MS = 60_000
/** What its operator changes. */
const OPERATORS = ['ca.pem', 'joining.pem', 'joining.key', 'cluster.key', 'edge-keys'] as const
/** All hosts see at one time that a gateway's are others, and a gateway takes some milliseconds for each. */
const SPREAD_MS_A_HOST = 50
const SPREAD_MS_MAX = 60_000
const CALL_MS = 30_000
const DAY_MS = 86_400_000
/** What renews itself has half of this left when nothing is wrong. */
const WARN_MS = 20 * DAY_MS

export interface FollowCertificatesOptions {
  /** With the members that there are now. */
  readonly config: () => HostConfig
  readonly client: Pick<ApiClient, 'query' | 'execute'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** @default as a gateway answers */
  readonly ask?: (signal: AbortSignal) => Promise<Renewed>
}

/**
 * Keeps what a host trusts and shows as its gateways say, and tells the others. It asks every five minutes, and soon after a
 * gateway says in its row that it trusts or shows something else; a gateway itself as soon as its operator has changed its
 * files.
 */
export class CertificateFollower {
  readonly #options: FollowCertificatesOptions
  readonly #ending = new AbortController()
  /** One round at a time. */
  #last: Promise<unknown> = Promise.resolve()
  /** Monotonic. */
  #askAtMs: number
  /** What gateways said when it was last asked. */
  #answered = ''
  #toldCode: string | undefined
  #warnedAtMs = Number.NEGATIVE_INFINITY
  #files: Disposable | undefined

  constructor(options: FollowCertificatesOptions) {
    this.#options = options
    this.#askAtMs = options.clock.monotonicMs() + options.random.next() * LOOK_MS
  }

  start(): void {
    const { config, clock, log } = this.#options
    const { secret } = placesOf(config())
    if (this.#isGateway()) {
      const paths = OPERATORS.map(secret)
      const changed = () => this.#askBy(0)
      this.#files = followFiles({ paths, changed, clock, log })
    }
    void this.#follow()
  }

  [Symbol.dispose](): void {
    this.#files?.[Symbol.dispose]()
    this.#ending.abort(new Error('the host is stopped'))
  }

  /** Asks now. @throws as `renewCertificates` */
  async renewNow(signal: AbortSignal): Promise<Renewed> {
    const round = this.#last.then(() => this.#round(signal))
    this.#last = round.catch(() => undefined)
    return await round
  }

  async #follow(): Promise<void> {
    const { clock, log } = this.#options
    const { signal } = this.#ending
    while (!signal.aborted) {
      try {
        await this.#look()
      } catch (err) {
        const code = errorCode(err) ?? 'unknown'
        if (!signal.aborted && code !== this.#toldCode) {
          log.warn({ err, code }, "this host's certificates were not renewed; it is tried again")
        }
        this.#toldCode = code
      }
      await clock.sleep(LOOK_MS, signal).catch(() => undefined) // told to end
    }
  }

  async #look(): Promise<void> {
    const { config, clock, random } = this.#options
    const said = await this.#gatewaysSay()
    if (said !== undefined && said !== this.#answered) {
      this.#answered = said
      const spreadMs = Math.min(SPREAD_MS_A_HOST * config().members.length, SPREAD_MS_MAX)
      this.#askBy(this.#isGateway() ? 0 : random.next() * spreadMs)
    }
    if (clock.monotonicMs() < this.#askAtMs) return
    await this.renewNow(AbortSignal.any([this.#ending.signal, AbortSignal.timeout(CALL_MS)]))
    this.#toldCode = undefined
  }

  #askBy(afterMs: number): void {
    this.#askAtMs = Math.min(this.#askAtMs, this.#options.clock.monotonicMs() + afterMs)
  }

  /** Undefined while the replica is away. */
  async #gatewaysSay(): Promise<string | undefined> {
    const { config, client } = this.#options
    const gateways = new Set(
      config()
        .members.filter(({ roles }) => roles.includes('gateway'))
        .map(({ host }) => host),
    )
    const signal = AbortSignal.any([this.#ending.signal, AbortSignal.timeout(CALL_MS)])
    try {
      const rows = await trustRows(client, signal)
      return JSON.stringify(rows.filter(({ host }) => gateways.has(host)))
    } catch (error) {
      if (this.#ending.signal.aborted) throw error
      return undefined // the agent is starting; it is asked again in two seconds
    }
  }

  async #round(signal: AbortSignal): Promise<Renewed> {
    const { config, clock, random, log } = this.#options
    const ask =
      this.#options.ask ?? ((within) => renewCertificates(config(), { clock, signal: within }))
    this.#askAtMs = clock.monotonicMs() + AGAIN_MS * (0.5 + random.next())
    try {
      const renewed = await ask(signal)
      const { changed, waitingFor } = renewed
      const isAsking = waitingFor.length > 0 && this.#isGateway()
      const afterMs = isAsking ? WAITING_MS : PERIOD_MS * (0.75 + random.next() / 2)
      this.#askAtMs = clock.monotonicMs() + afterMs
      if (changed.length > 0) log.info({ changed }, 'a gateway told what to trust and to show')
      return renewed
    } finally {
      await this.#tell(signal)
    }
  }

  /** Whatever the gateways say: others must know what this host trusts. */
  async #tell(signal: AbortSignal): Promise<void> {
    const { config, client, clock, log } = this.#options
    try {
      const nowMs = clock.nowMs()
      const trust = trustOf(config().host, readHostSecrets(config()), nowMs)
      this.#warn(trust, nowMs)
      await publishTrust(client, trust, { nowMs, signal })
    } catch (err) {
      this.#askBy(LOOK_MS)
      log.debug({ err, code: errorCode(err) }, 'what this host trusts was not told')
    }
  }

  #warn({ endsAtMs, signsUntilMs = Number.POSITIVE_INFINITY }: TrustRow, nowMs: number): void {
    const { log } = this.#options
    const nextMs = Math.min(endsAtMs, signsUntilMs)
    if (nextMs - nowMs > WARN_MS || nowMs - this.#warnedAtMs < DAY_MS) return
    this.#warnedAtMs = nowMs
    const ends = new Date(nextMs).toISOString()
    const fix = 'see `godwit host certs`, and docs/operate.md: Certificates'
    if (endsAtMs <= signsUntilMs) log.warn({ ends, fix }, "this host's certificates end soon")
    else log.warn({ ends, fix }, 'what this gateway signs with ends soon')
  }

  #isGateway(): boolean {
    return hasRole(this.#options.config(), 'gateway')
  }
}
