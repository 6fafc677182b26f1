import type { LeaseJson } from '../host.ts'
import type { MachineConfigJson } from '../machine-json.ts'
import { volumeIdsOf } from '../volume/volume-table.ts'
import { identityOf, type MachineIdentity } from './machine-identity.ts'
import { type MachineRecord, VERSIONS_MAX } from './machine-record.ts'
import type { VersionJson } from './machine-table.ts'
import { newRecord } from './new-record.ts'

/** A machine on its way: on the host that it leaves (`out`), or on the one where it arrives (`in`). */
export interface Migration {
  readonly side: 'out' | 'in'
  /** `held`: as far as this host goes by itself; what is next is for who moves the machine to say. */
  readonly phase: 'moving' | 'held' | 'leaving'
  /** It ran, or was on its way there, when the migration began. */
  readonly isToRun: boolean
  /** Of one that leaves: the host that was, or is to be, asked to take it. */
  readonly to?: { readonly hostId: string; readonly hasArrived: boolean } | undefined
}

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

export function describeMachine(
  record: MachineRecord,
  versions: readonly VersionJson[],
): MachineDescription {
  const { config, version, replaced, lease, isCordoned, skipSecrets, minSecretsVersion } = record
  const { hasLaunched, isStandingIn, createdAtMs, bornAtMs = createdAtMs } = record
  return {
    ...identityOf(record),
    config,
    version,
    replaced,
    versions,
    ...(lease === undefined ? {} : { lease }),
    volumeIds: volumeIdsOf(config),
    isCordoned,
    skipSecrets,
    minSecretsVersion,
    isToRun: record.migration?.isToRun === true,
    hasLaunched,
    isStandingIn,
    bornAtMs,
  }
}

/** The machine as it begins here: of a new version, with the volumes that its old ones have become. */
export function arrivedRecord(
  moved: MachineDescription,
  about: { version: string; nowMs: number; volumes: Readonly<Record<string, string>> },
): MachineRecord {
  const { isToRun, hasLaunched, isStandingIn, bornAtMs, lease } = moved
  const { version, nowMs, volumes } = about
  const config = withVolumes(moved.config, volumes)
  const made = newRecord({ ...moved, config, skipLaunch: !isToRun }, { version, nowMs, bornAtMs })
  return {
    ...made,
    hasLaunched,
    isStandingIn,
    lease: lease === undefined ? undefined : { ...lease, version },
    replaced: [moved.version, ...moved.replaced].slice(0, VERSIONS_MAX),
    migration: { side: 'in', phase: 'moving', isToRun },
  }
}

function withVolumes(
  config: MachineConfigJson,
  volumes: Readonly<Record<string, string>>,
): MachineConfigJson {
  const { mounts } = config
  if (mounts === undefined) return config
  const moved = mounts.map(({ volume, ...mount }) =>
    volume === undefined ? mount : { ...mount, volume: volumes[volume] ?? volume },
  )
  return { ...config, mounts: moved }
}
