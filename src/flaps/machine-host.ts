import type { MachineConfigJson, MachineJson, VolumeJson } from './machine-json.ts'

/**
 * The host that owns a machine, as the API uses it. What it refuses comes as FlapsError with the
 * documented text. A host that could not be reached at all, so that nothing happened, is
 * flaps.host_unreached; one that stopped answering is flaps.deadline_exceeded.
 */
export interface MachineHost {
  /** The same id twice gives the same machine. The reservation is spent by it. */
  create(input: HostCreate, signal: AbortSignal): Promise<MachineJson>
  machine(id: string, signal: AbortSignal): Promise<MachineJson>
  update(id: string, input: HostUpdate, signal: AbortSignal): Promise<MachineJson>
  destroy(id: string, options: { force: boolean } & Leased, signal: AbortSignal): Promise<void>
  start(id: string, options: Leased, signal: AbortSignal): Promise<{ previousState: string }>
  stop(id: string, options: StopOptions & Leased, signal: AbortSignal): Promise<void>
  suspend(id: string, options: Leased, signal: AbortSignal): Promise<void>
  restart(
    id: string,
    options: StopOptions & { force: boolean } & Leased,
    signal: AbortSignal,
  ): Promise<void>
  /** By name, as `SIGTERM`. */
  signal(id: string, name: string, signal: AbortSignal): Promise<void>
  setCordoned(
    id: string,
    options: { isCordoned: boolean } & Leased,
    signal: AbortSignal,
  ): Promise<void>
  /** Ends at the latest after `timeoutMs`, with flaps.deadline_exceeded. */
  wait(id: string, options: WaitOptions, signal: AbortSignal): Promise<WaitResult>
  /** Undefined: nobody holds one. */
  lease(id: string, signal: AbortSignal): Promise<LeaseJson | undefined>
  /** With the nonce of the present lease: prolongs it. @throws FlapsError flaps.conflict */
  acquireLease(id: string, options: LeaseOptions, signal: AbortSignal): Promise<LeaseJson>
  /** @throws FlapsError flaps.not_found: none, or expired; flaps.conflict: another nonce */
  releaseLease(id: string, nonce: string, signal: AbortSignal): Promise<void>
  exec(id: string, options: ExecOptions, signal: AbortSignal): Promise<ExecResult>
  processes(id: string, signal: AbortSignal): Promise<readonly Record<string, unknown>[]>
  /** Newest first. */
  events(id: string, limit: number, signal: AbortSignal): Promise<readonly unknown[]>
  versions(
    id: string,
    signal: AbortSignal,
  ): Promise<readonly { version: string; user_config: unknown }[]>
  /** Null removes a key. @throws FlapsError flaps.state_bad: another version */
  changeMetadata(
    id: string,
    changes: Readonly<Record<string, string | null>>,
    options: { version: string | undefined },
    signal: AbortSignal,
  ): Promise<void>
  readonly volumes: HostVolumes
}

interface Leased {
  readonly nonce: string | undefined
}

export interface HostCreate {
  readonly id: string
  readonly reservation: string
  readonly appId: string
  readonly appName: string
  readonly orgId: string
  readonly orgSlug: string
  readonly networkId: number
  readonly name: string
  readonly region: string
  readonly config: MachineConfigJson
  readonly skipLaunch: boolean
  readonly isCordoned: boolean
  readonly skipSecrets: boolean
  readonly minSecretsVersion: number
  /** Seconds; 0: not leased. */
  readonly leaseTtlS: number
  /** Who holds the lease. */
  readonly owner: string
}

export interface HostUpdate extends Leased {
  readonly config: MachineConfigJson
  readonly currentVersion: string | undefined
  readonly skipLaunch: boolean
  readonly skipSecrets: boolean
  readonly minSecretsVersion: number
  readonly leaseTtlS: number
  readonly owner: string
}

export interface StopOptions {
  /** As `SIGTERM`. @default as the machine's configuration says */
  readonly signal: string | undefined
  readonly timeoutMs: number | undefined
}

export interface WaitOptions {
  /** Any of them. `settled`: any that will not change by itself. */
  readonly states: readonly string[]
  readonly version: string | undefined
  readonly fromEventId: string | undefined
  readonly timeoutMs: number
}

export interface WaitResult {
  readonly state: string
  readonly version: string
  readonly eventId: string
}

export interface LeaseOptions extends Leased {
  readonly ttlS: number
  readonly owner: string
  readonly description: string
}

export interface LeaseJson {
  readonly nonce: string
  /** Unix seconds. */
  readonly expires_at: number
  readonly owner: string
  readonly description: string
  readonly version: string
}

export interface ExecOptions {
  readonly command: readonly string[]
  readonly timeoutMs: number
  readonly stdin: string
  readonly container: string | undefined
  /** In the machine's own namespace, not a container's. */
  readonly inMachine: boolean
}

export interface ExecResult {
  readonly exit_code: number
  readonly exit_signal: number
  readonly stdout: string
  readonly stderr: string
}

export interface HostVolumes {
  create(input: HostCreateVolume, signal: AbortSignal): Promise<VolumeJson>
  get(id: string, signal: AbortSignal): Promise<VolumeJson>
  update(id: string, input: VolumeSettings, signal: AbortSignal): Promise<VolumeJson>
  destroy(id: string, signal: AbortSignal): Promise<VolumeJson>
  extend(
    id: string,
    sizeGb: number,
    signal: AbortSignal,
  ): Promise<{ volume: VolumeJson; needs_restart: boolean }>
  snapshots(id: string, signal: AbortSignal): Promise<readonly unknown[]>
  createSnapshot(id: string, signal: AbortSignal): Promise<unknown>
}

export interface VolumeSettings {
  /** Days. */
  readonly snapshotRetention: number | undefined
  readonly autoBackupEnabled: boolean | undefined
}

export interface HostCreateVolume extends VolumeSettings {
  readonly id: string
  readonly reservation: string
  readonly appId: string
  readonly orgId: string
  readonly name: string
  readonly region: string
  readonly sizeGb: number
  readonly isEncrypted: boolean
  readonly fstype: 'ext4' | 'raw'
  readonly snapshotId: string | undefined
  readonly sourceVolumeId: string | undefined
}

/** Finds the client for a host's API by the id of its rows. */
export interface Fleet {
  /** @throws FlapsError flaps.host_unreached: no such host, or it is gone */
  host(hostId: string): MachineHost
}
