import type { MachineConfigJson } from '../machine-json.ts'
import type { ImageRefJson } from '../model/image-ref.ts'
import type { LeaseJson } from '../model/lease.ts'
import type { EventJson } from '../model/machine-event.ts'
import { identityOf } from '../model/machine-identity.ts'
import type { MachineSeen } from '../model/machine-seen.ts'
import type { MachineSubject } from '../model/machine-subject.ts'
import type { RestartHistory } from './restart-policy.ts'

/** All that is remembered of a machine but its older events and versions. */
export interface MachineRecord extends MachineSeen {
  readonly skipSecrets: boolean
  readonly minSecretsVersion: number
  readonly lease: LeaseJson | undefined
  /** During an update, what it goes back to when the new version cannot be prepared. */
  readonly previous: PreviousVersion | undefined
  /** Versions that are no more, so that waits for them end; the newest first, at most VERSIONS_MAX. */
  readonly replaced: readonly string[]
  /** Newest first, the last few. */
  readonly events: readonly EventJson[]
  readonly restarts: RestartHistory
  /** It has run at least once since it was created or updated with `skip_launch`. */
  readonly hasLaunched: boolean
  /** When its schedule starts it next; wall clock. */
  readonly dueAtMs: number | undefined
  /** Started because what it stands by for was gone. */
  readonly isStandingIn: boolean
  /** Of one that came from another host: when it was first made, which its schedule counts from. */
  readonly bornAtMs?: number
}

export interface PreviousVersion {
  readonly version: string
  readonly config: MachineConfigJson
  readonly imageRef: ImageRefJson | undefined
  readonly skipSecrets: boolean
  readonly minSecretsVersion: number
  /** What it was in when the update was accepted, or will be in. */
  readonly state: 'starting' | 'started' | 'stopped' | 'suspending' | 'suspended' | 'failed'
  readonly hasLaunched: boolean
  readonly dueAtMs: number | undefined
  /** The new version is to run. */
  readonly launches: boolean
}

export function subjectOf(record: MachineRecord): MachineSubject {
  const { version, config, skipSecrets, minSecretsVersion, imageRef } = record
  const { privateIp, privateIpv4 = '' } = record
  return {
    ...identityOf(record),
    version,
    config,
    skipSecrets,
    minSecretsVersion,
    imageRef,
    network: privateIp === undefined ? undefined : { privateIp, privateIpv4 },
  }
}

/** The version that an update replaces runs, is to run, or can be continued. */
export const oldHoldsCapacity = ({ state }: PreviousVersion): boolean =>
  state !== 'stopped' && state !== 'failed'

/** Taken of the host: what runs, will run, or can be continued at once. */
export function holdsCapacity({ state, previous, migration }: MachineRecord): boolean {
  // Until it has left, it may have to go on here.
  if (migration?.side === 'out') return migration.isToRun || migration.phase === 'moving'
  if (state === 'replacing' && previous !== undefined) {
    return previous.launches || oldHoldsCapacity(previous)
  }
  return !['stopped', 'failed', 'destroyed', 'migrated'].includes(state)
}
