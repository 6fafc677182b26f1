import type { ImageRefJson } from '../effects/machine-effects.ts'
import type { LeaseJson } from '../host.ts'
import type { MachineConfigJson } from '../machine-json.ts'
import type { MachineIdentity } from './machine-identity.ts'
import type { Migration } from './migration.ts'

/**
 * What others of this process read of the machines and volumes: rows for corrosion, bids, checks. From
 * memory, at once. What it shows is in the log already: a crash takes nothing of it back.
 */
export interface MachineView {
  /** All, those destroyed but still remembered too. */
  machines(): Iterable<MachineSeen>
  /** Undefined: never here, or forgotten. */
  machine(id: string): MachineSeen | undefined
  volumes(): Iterable<VolumeSeen>
  volume(id: string): VolumeSeen | undefined
  /** Machines of an app that live here: all but those destroyed or migrated. */
  countOfApp(appId: string): number

  /**
   * Called after each change that is in the log, in order, with what is there now. Must not throw; what
   * takes time belongs in a queue of the listener.
   */
  onChange(listener: (change: Change) => void): Disposable
}

export type Change =
  | { readonly kind: 'machine'; readonly id: string; readonly machine: MachineSeen }
  | { readonly kind: 'volume'; readonly id: string; readonly volume: VolumeSeen }
  /** Remembered no more: its row goes. */
  | { readonly kind: 'machine_forgotten' | 'volume_forgotten'; readonly id: string }

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

/** Source: the states of the Machines API. */
export const MACHINE_STATES = [
  'created',
  'starting',
  'started',
  'stopping',
  'stopped',
  'suspending',
  'suspended',
  'restarting',
  'replacing',
  'failed',
  'launch_failed',
  'destroying',
  'destroyed',
  'migrated',
] as const
export type MachineState = (typeof MACHINE_STATES)[number]

export interface VolumeSeen {
  readonly id: string
  readonly name: string
  readonly appId: string
  readonly orgId: string
  readonly region: string
  readonly state: VolumeState
  readonly sizeGb: number
  readonly isEncrypted: boolean
  readonly fstype: 'ext4' | 'raw'
  readonly machineId: string | undefined
  /** Days. */
  readonly snapshotRetention: number
  readonly autoBackupEnabled: boolean
  readonly createdAtMs: number
  readonly updatedAtMs: number
}

export type VolumeState =
  | 'creating'
  | 'created'
  | 'extending'
  | 'failed'
  | 'destroying'
  | 'destroyed'
