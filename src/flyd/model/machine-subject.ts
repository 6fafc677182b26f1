import type { MachineConfigJson } from '../machine-json.ts'
import type { ImageRefJson } from './image-ref.ts'
import type { MachineIdentity } from './machine-identity.ts'

/** A machine as acts see it: who it is, and the version that is to run. */
export interface MachineSubject extends MachineIdentity {
  /** A ULID, the `instance_id` of the API. */
  readonly version: string
  readonly config: MachineConfigJson
  readonly skipSecrets: boolean
  readonly minSecretsVersion: number
  /** What prepareImage answered for this version; undefined before it has. */
  readonly imageRef: ImageRefJson | undefined
  /** What makeNetwork answered; undefined before it has. */
  readonly network: MachineNetwork | undefined
}

export interface MachineNetwork {
  /** The machine's 6PN address. */
  readonly privateIp: string
  /** Known on this host alone. */
  readonly privateIpv4: string
}
