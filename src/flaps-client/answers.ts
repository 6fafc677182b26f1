/** What the API answers, as far as clients read it. A newer server may say more. */

export interface Machine {
  readonly id: string
  readonly name: string
  readonly state: string
  readonly region: string
  /** Of the present configuration. */
  readonly instance_id: string
  readonly private_ip: string
  readonly created_at: string
  readonly updated_at: string
  readonly image_ref: {
    readonly registry?: string
    readonly repository?: string
    readonly tag?: string
    readonly digest?: string
  }
  readonly config?: MachineConfig
  readonly incomplete_config?: MachineConfig
  /** Newest first. */
  readonly events?: readonly MachineEvent[]
  readonly checks?: readonly CheckResult[]
  readonly host_status: 'ok' | 'unknown' | 'unreachable'
  readonly cordoned?: boolean
  readonly nonce?: string
}

export interface MachineConfig {
  readonly image?: string
  readonly env?: Readonly<Record<string, string>>
  readonly metadata?: Readonly<Record<string, string>>
  readonly guest?: Readonly<Record<string, unknown>>
  readonly mounts?: readonly MachineMount[]
  readonly services?: readonly Readonly<Record<string, unknown>>[]
  readonly checks?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly standbys?: readonly string[]
  readonly schedule?: string
  readonly [key: string]: unknown
}

export interface MachineMount {
  readonly volume?: string
  readonly name?: string
  readonly path?: string
  readonly [key: string]: unknown
}

export interface MachineEvent {
  readonly id?: string
  readonly type: string
  readonly status: string
  readonly source: string
  /** Milliseconds since the Unix epoch. */
  readonly timestamp: number
  readonly request?: {
    readonly exit_event?: ExitEvent
    readonly MonitorEvent?: { readonly exit_event?: ExitEvent }
    readonly restart_count?: number
    /** Why it failed. */
    readonly error?: string
  }
}

export interface ExitEvent {
  readonly exit_code?: number
  readonly guest_exit_code?: number
  readonly oom_killed?: boolean
  readonly requested_stop?: boolean
  readonly restarting?: boolean
  readonly exited_at?: string
}

export interface CheckResult {
  readonly name: string
  readonly status: 'passing' | 'warning' | 'critical'
  readonly output?: string
  readonly updated_at: string
}

export interface Volume {
  readonly id: string
  readonly name: string
  readonly state: string
  readonly size_gb: number
  readonly region: string
  readonly zone?: string
  readonly encrypted: boolean
  readonly attached_machine_id: string | null
  readonly created_at: string
  readonly host_status: string
}

export interface App {
  readonly id: string
  readonly name: string
  readonly status: string
  readonly network?: string
  readonly machine_count?: number
  readonly volume_count?: number
  readonly organization: { readonly name: string; readonly slug: string }
}

export interface IpAssignment {
  readonly ip: string
  readonly region: string
  readonly shared: boolean
  readonly created_at: string
}

export interface AppRelease {
  readonly id: string
  /** Of the app, from 1. */
  readonly version: number
  readonly status: ReleaseStatus
  readonly strategy: string
  readonly image_ref: string
  readonly user: string
  /** Why it failed; empty otherwise. */
  readonly failure: string
  readonly created_at: string
  readonly updated_at: string
  /** The app's configuration. Lists leave it out. */
  readonly definition?: unknown
}

export type ReleaseStatus = 'pending' | 'running' | 'complete' | 'failed' | 'interrupted'

export interface Secret {
  readonly name: string
  readonly digest: string
  readonly created_at?: string
  readonly updated_at?: string
}

export interface LogLine {
  /** RFC 3339 with nanoseconds. */
  readonly timestamp: string
  readonly message: string
  readonly level: string
  readonly machine: string
  readonly region: string
  /** Who wrote it: app, runner, proxy. */
  readonly provider: string
}

export interface Lease {
  readonly nonce: string
  /** Unix seconds. */
  readonly expires_at: number
  readonly owner: string
  readonly description?: string
  readonly version: string
}

export interface ExecResult {
  readonly exit_code: number
  readonly exit_signal?: number
  readonly stdout: string
  readonly stderr: string
}

/** A person's device in a network of the organisation. */
export interface WireGuardPeer {
  readonly name: string
  /** Its own. */
  readonly pubkey: string
  readonly peerip: string
  readonly network: string
  readonly region: string
  /** Id of the host that it connects to. */
  readonly gateway: string
  readonly created_at: string
  readonly live: boolean
  readonly last_handshake: string | null
  readonly endpoint: string
  readonly rx: number
  readonly tx: number
}

/** What a new device's configuration needs. */
export interface NewWireGuardPeer {
  readonly name: string
  readonly peerip: string
  readonly endpointip: string
  /** With its port. */
  readonly endpoint: string
  /** The gateway's. */
  readonly pubkey: string
  readonly region: string
  readonly network: string
}

export interface Region {
  readonly code: string
  readonly name: string
  readonly latitude: number
  readonly longitude: number
}

/** A host name of an app's own, and what there is of its certificates. */
export interface Certificate {
  readonly hostname: string
  readonly status: string
  /** DNS leads the name to the app. Not in a list. */
  readonly configured?: boolean
  readonly certificates?: readonly {
    /** `custom`: somebody brought it. */
    readonly source: string
    readonly issuer: string
    readonly expires_at: string
  }[]
  readonly dns_requirements?: { readonly a: readonly string[]; readonly aaaa: readonly string[] }
  readonly dns_records?: { readonly resolved_addresses: readonly string[] }
  readonly validation_errors?: readonly {
    readonly message: string
    readonly remediation: string
  }[]
  /** Of what was removed just now. */
  readonly warning?: string
  readonly created_at: string
}
