import type { MachineConfigJson } from '../machine-json.ts'
import type { ImageRefJson } from './image-ref.ts'
import type { LeaseJson } from './lease.ts'
import type { MachineIdentity } from './machine-identity.ts'
import type { MachineState } from './machine-state.ts'
import type { Migration } from './migration.ts'

/** One state of a machine. Never changed in place: a change makes another one. */
export interface MachineSeen extends MachineIdentity {
  readonly state: MachineState
  /** A ULID, the `instance_id` of the API. */
  readonly version: string
  readonly config: MachineConfigJson
  readonly imageRef: ImageRefJson | undefined
  readonly privateIp: string | undefined
  /** Where this host's proxy finds it; of nobody else. */
  readonly privateIpv4?: string
  readonly isCordoned: boolean
  /** It may have run out: compare `expires_at` with the clock. */
  readonly lease: LeaseJson | undefined
  /** Newest first, the last few, as the API shows them. */
  readonly events: readonly unknown[]
  /** Wall clock, milliseconds. */
  readonly createdAtMs: number
  readonly updatedAtMs: number
  /** It is on its way to or from another host. */
  readonly migration?: Migration | undefined
}
