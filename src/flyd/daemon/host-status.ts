import type { CapacityBook } from '#market'
import type { HostEffects } from '../effects/host-effects.ts'
import type { Evacuation } from '../evacuation/evacuation.ts'
import type { HostReport } from '../host-operations.ts'
import type { LocalHost } from '../local-host.ts'
import type { RowPublisher } from '../rows/row-publisher.ts'
import type { FlydConfig } from './flyd-config.ts'
import { countStates } from './flyd-metrics.ts'
import type { HostModeKeeper } from './host-mode.ts'

interface Around {
  readonly version: string
  readonly host: LocalHost
  readonly book: CapacityBook
  readonly mode: HostModeKeeper
  readonly rows: RowPublisher
  readonly effects: HostEffects
  readonly evacuation: Evacuation
}

/** What `godwit flyd status` and `godwit host show` show. */
export function statusOf(
  { host: hostId, region }: FlydConfig,
  { version, host, book, mode, rows, effects, evacuation }: Around,
): HostReport {
  return {
    host: hostId,
    region: region.code,
    version,
    mode: mode.mode,
    machines: Object.fromEntries(countStates(host.view)),
    guests: effects.guestCount,
    runs: host.engine.runs().length,
    capacity: { limits: book.limits, used: book.used, reservations: book.reservationCount },
    evacuation: evacuation.status,
    rows: { count: rows.rowCount, waiting: rows.backlog, inStep: rows.isInStep },
  }
}
