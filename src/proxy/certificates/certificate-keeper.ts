import type { Clock, Log } from '#base'
import { number, type PlatformRow, text } from '../routing-table/platform-rows.ts'
import type { RoutingTable } from '../routing-table/routing-table.ts'
import type { CertificateOrders, CertificateRows } from './certificate-orders.ts'
import { CLAIM_STATE, dueMsOf, dutyOf } from './renewal-duty.ts'

export interface CertificateKeeperOptions {
  readonly table: RoutingTable
  readonly orders: CertificateOrders
  readonly rows: CertificateRows
  readonly clock: Clock
  readonly log: Log
  readonly signal: AbortSignal
}

const LOOK_MS = 10_000
/** Orders under way at a time on one host. */
const ORDERS_MAX = 4

/** Looks after every name that wants a certificate: claims, orders and renews those that fall to this host. */
export class CertificateKeeper {
  readonly #options: CertificateKeeperOptions
  readonly #underWay = new Set<string>()

  constructor(options: CertificateKeeperOptions) {
    this.#options = options
  }

  /** Until the signal aborts. */
  async run(): Promise<void> {
    const { clock, signal, log } = this.#options
    while (!signal.aborted) {
      try {
        await this.look()
      } catch (error) {
        log.warn({ err: error }, 'certificates could not be looked after')
      }
      await clock.sleep(LOOK_MS, signal).catch(() => undefined)
    }
  }

  /** One look at all names. Orders go on beside it. */
  async look(): Promise<void> {
    const { table, clock } = this.#options
    const byName = Map.groupBy(table.rows('certs').values(), (row) => text(row, 'hostname'))
    const hosts = [...table.rows('hosts').values()]
      .filter((row) => text(row, 'state') === 'ready' && number(row, 'is_edge') === 1)
      .map((row) => text(row, 'id'))
    for (const [hostname, rows] of byName) {
      if (this.#underWay.has(hostname) || this.#underWay.size >= ORDERS_MAX) continue
      const duty = dutyOf({
        ...{ hostname, hosts, rows, ownHostId: table.topology.ownHostId },
        ...{ dueMs: dueMsOf(rows), nowMs: clock.nowMs() },
      })
      if (duty.kind === 'claim') await this.#claim(hostname, rows)
      if (duty.kind === 'order') this.#order(hostname, appOf(rows))
    }
  }

  get underWayCount(): number {
    return this.#underWay.size
  }

  /** The own row says so; what it holds of an older certificate stays in it and is served. */
  async #claim(hostname: string, rows: readonly PlatformRow[]): Promise<void> {
    const { table, clock } = this.#options
    const hostId = table.topology.ownHostId
    const own = rows.find((row) => text(row, 'host_id') === hostId)
    await this.#options.rows.putCertificate({
      source: 'acme',
      ...own,
      ...{ hostname, host_id: hostId, app_id: appOf(rows), state: CLAIM_STATE },
      updated_at: clock.nowMs(),
    })
  }

  #order(hostname: string, appId: string): void {
    const { orders, signal, log } = this.#options
    this.#underWay.add(hostname)
    void orders
      .run(hostname, appId, signal)
      .catch((error: unknown) => {
        if (!signal.aborted) log.warn({ err: error, hostname }, 'the order goes on later')
      })
      .finally(() => this.#underWay.delete(hostname))
  }
}

const appOf = (rows: readonly PlatformRow[]) =>
  rows.map((row) => text(row, 'app_id')).find((id) => id !== '') ?? ''
