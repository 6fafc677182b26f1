import type { MachineConfigJson } from '../machine-json.ts'
import type { LeaseJson } from './lease.ts'
import type { MachineIdentity } from './machine-identity.ts'
import type { VersionJson } from './machine-version.ts'

/**
 * All that another host must know of a machine to go on with it, as JSON. Not its address, which is its
 * host's; not the data of its volumes or its root.
 */
export interface MachineDescription extends MachineIdentity {
  /** Its metadata too. */
  readonly config: MachineConfigJson
  /** The `instance_id` that ends with the move. */
  readonly version: string
  readonly replaced: readonly string[]
  /** Newest first. */
  readonly versions: readonly VersionJson[]
  readonly lease?: LeaseJson
  readonly volumeIds: readonly string[]
  readonly isCordoned: boolean
  readonly skipSecrets: boolean
  readonly minSecretsVersion: number
  readonly isToRun: boolean
  readonly hasLaunched: boolean
  readonly isStandingIn: boolean
  /** Wall clock, milliseconds: when it was first made, on whatever host. */
  readonly bornAtMs: number
}
