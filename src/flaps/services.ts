import type { Clock, Random } from '#base'
import type { Directory } from './directory.ts'
import type { Fleet } from './fleet.ts'
import type { HostnameLookup } from './hostname-lookup.ts'
import type { IdentityProvider } from './identity-provider.ts'
import type { Logs } from './logs.ts'
import type { MachineNames } from './machine-names.ts'
import type { Placement } from './placement.ts'
import type { RecentWrites } from './recent-writes.ts'
import type { Rows } from './rows.ts'

/** What the endpoints stand on. All of it is shared by every request, and none of it is theirs. */
export interface Services {
  readonly clock: Clock
  readonly random: Random
  /** Where this instance stands: the region of callers that name none. */
  readonly region: string
  readonly directory: Directory
  readonly rows: Rows
  readonly fleet: Fleet
  readonly placement: Placement
  readonly logs: Logs
  readonly names: MachineNames
  readonly recent: RecentWrites
  readonly dns: HostnameLookup
  readonly identity: IdentityProvider
}
