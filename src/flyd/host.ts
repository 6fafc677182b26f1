import type { Duplex } from 'node:stream'
import type { MachineConfigJson, MachineJson, VolumeJson } from './machine-json.ts'
import type { LeaseJson } from './model/lease.ts'
import type { MachineDescription } from './model/machine-description.ts'
import type { MachineIdentity } from './model/machine-identity.ts'
import type { VersionJson } from './model/machine-version.ts'

/**
 * A host as others use it: the machines and volumes that it owns. In its own process that is LocalHost;
 * from elsewhere a client of its API. What it refuses comes as FlydError whose `what` is the documented
 * text. A host that could not be reached at all, so that nothing happened, is flyd.host_unreached; one
 * that stopped answering is flyd.deadline_exceeded: its effect may have happened.
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
  /** Ends at the latest after `timeoutMs`, with flyd.deadline_exceeded. */
  wait(id: string, options: WaitOptions, signal: AbortSignal): Promise<WaitResult>
  /** Undefined: nobody holds one. */
  lease(id: string, signal: AbortSignal): Promise<LeaseJson | undefined>
  /** With the nonce of the present lease: prolongs it. @throws FlydError flyd.conflict */
  acquireLease(id: string, options: LeaseOptions, signal: AbortSignal): Promise<LeaseJson>
  /** @throws FlydError flyd.not_found: none, or expired; flyd.conflict: another nonce */
  releaseLease(id: string, nonce: string, signal: AbortSignal): Promise<void>
  exec(id: string, options: ExecOptions, signal: AbortSignal): Promise<ExecResult>
  /**
   * A TCP connection to the machine. Port 22 is its SSH server; port 0 is its files, by SFTP, for hosts alone; what listens on any other is asked by its
   * address, then by the machine's own loopback. The signal is for the connecting alone.
   *
   * @throws FlydError flyd.state_bad: nothing listens there
   */
  connect(id: string, options: ConnectOptions, signal: AbortSignal): Promise<Duplex>
  processes(id: string, signal: AbortSignal): Promise<readonly Record<string, unknown>[]>
  /** @throws FlydError flyd.state_bad: it does not run; as the two that follow */
  memory(id: string, signal: AbortSignal): Promise<MachineMemory>
  /**
   * Lets a machine that runs have less of its memory, or all of it again; its next start gives it all.
   *
   * @throws FlydError flyd.argument_bad: more than it has; flyd.state_bad: it needs more
   */
  limitMemory(id: string, limitMb: number, signal: AbortSignal): Promise<MachineMemory>
  /** Takes for the host what the machine does not need. @returns how much that was, MB */
  reclaimMemory(id: string, amountMb: number, signal: AbortSignal): Promise<number>
  /** Of an organisation's machines on this host, in Prometheus' text format. */
  metrics(question: MetricsQuestion, signal: AbortSignal): Promise<MetricsAnswer>
  /** Newest first. */
  events(id: string, limit: number, signal: AbortSignal): Promise<readonly unknown[]>
  versions(id: string, signal: AbortSignal): Promise<readonly VersionJson[]>
  /** Null removes a key. @throws FlydError flyd.state_bad: another version */
  changeMetadata(
    id: string,
    changes: Readonly<Record<string, string | null>>,
    options: { version: string | undefined },
    signal: AbortSignal,
  ): Promise<void>
  readonly volumes: HostVolumes
  readonly migration: HostMigration
}

/** Of a machine that runs, in MB of 2^20 bytes. */
export interface MachineMemory {
  /** What it may use now. */
  readonly limitMb: number
  /** What of that nothing needs now. */
  readonly availableMb: number
}

export interface MetricsQuestion {
  readonly orgId: string
  /** All of the organisation's: their names stand in figures. */
  readonly apps: readonly { readonly id: string; readonly name: string }[]
  /** As Prometheus' `match[]` has them; at least one. */
  readonly selectors: readonly string[]
}

export interface MetricsAnswer {
  readonly text: string
  /** Series that were too many. */
  readonly leftOut: number
}

/** The end of a migration where a machine arrives; docs/flyd.md has both. */
export interface HostMigration {
  /** The same description twice is the same machine. @throws FlydError flyd.conflict: no room */
  arrive(
    moved: MachineDescription,
    options: { readonly reservation: string },
    signal: AbortSignal,
  ): Promise<{ readonly state: string }>
  /** @throws FlydError flyd.state_bad: it has not started yet; flyd.not_found: it did not */
  releaseIn(id: string, signal: AbortSignal): Promise<void>
}

interface Leased {
  readonly nonce: string | undefined
}

export interface HostCreate extends MachineIdentity {
  readonly reservation: string
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

export interface ConnectOptions {
  readonly port: number
  /** Who opened it, for the log of this host; absent: it came over the API. */
  readonly from?: string
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
