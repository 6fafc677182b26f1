import type { MachineJson, VolumeJson } from '#flyd'
import type { Whereabouts } from './whereabouts.ts'

/**
 * The world as this host's replica has it: behind by the time that gossip takes, never waiting for
 * anybody. Calls are synchronous and short.
 */
export interface Rows {
  whereIsMachine(id: string): Whereabouts | undefined
  whereIsVolume(id: string): Whereabouts | undefined
  machine(id: string): MachineRow | undefined
  /** Destroyed ones only when `includeDeleted`. Oldest first. */
  machines(filter: MachineFilter): readonly MachineRow[]
  /** A page of an organisation's machines, by the time they changed. */
  machinesSince(orgId: string, page: Page): readonly MachineRow[]
  volumes(appId: string): readonly VolumeJson[]
  volume(id: string): VolumeJson | undefined
  volumesSince(orgAppIds: readonly string[], page: Page): readonly VolumeRow[]
  /** What hosts have of a name's certificates; the newest first. */
  certificates(hostname: string): readonly CertificateRow[]
  regions(): readonly RegionRow[]
  hosts(): readonly HostRow[]
  /** Where people's devices connect to; those first whose host is heard. */
  wireguardGateways(): readonly GatewayRow[]
  /** By public key; absent: never heard. */
  wireguardLinks(): ReadonlyMap<string, LinkRow>
  /** Where a host's API is. Undefined: no such host. */
  backhaulIpOf(hostId: string): string | undefined
}

export interface MachineRow extends Whereabouts {
  readonly orgId: string
  readonly updatedAtMs: number
  readonly json: MachineJson
}

export interface VolumeRow extends Whereabouts {
  readonly updatedAtMs: number
  readonly json: VolumeJson
}

export interface MachineFilter {
  readonly appId: string
  readonly includeDeleted?: boolean
  readonly region?: string
  readonly states?: readonly string[]
  /** All of them, exactly. */
  readonly metadata?: Readonly<Record<string, string>>
}

/** After this place in the order of (updatedAtMs, id). */
export interface Page {
  readonly afterMs: number
  readonly afterId: string
  readonly limit: number
}

export interface RegionRow {
  readonly code: string
  readonly name: string
  readonly latitude: number
  readonly longitude: number
}

export interface HostRow {
  readonly id: string
  readonly region: string
  readonly state: string
  readonly backhaulIp: string
  readonly isGateway: boolean
  readonly memoryMb: number
  /** Of the machines that live there, whatever their state. */
  readonly usedMemoryMb: number
}

export interface GatewayRow {
  readonly hostId: string
  readonly region: string
  readonly publicKey: string
  /** `ip:port` */
  readonly endpoint: string
  /** Of the host, in 6PN addresses. */
  readonly addressField: number
  readonly isHeard: boolean
}

export interface LinkRow {
  readonly endpoint: string
  readonly handshakeAtMs: number
  /** At that time; by the peer's gateway. */
  readonly receivedBytes: number
  readonly sentBytes: number
}

export interface CertificateRow {
  /** `acme`, `custom` or `local`. */
  readonly source: string
  /** PEM; empty: there is none yet. */
  readonly chain: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly updatedAtMs: number
}
