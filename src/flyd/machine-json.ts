/** A machine as the API shows it. Hosts make it whole; from replicated rows some of it is missing. */
export interface MachineJson {
  readonly id: string
  readonly name: string
  readonly state: string
  readonly region: string
  readonly instance_id: string
  readonly version: string
  readonly private_ip: string
  readonly created_at: string
  readonly updated_at: string
  readonly image_ref: Readonly<Record<string, unknown>>
  readonly config?: MachineConfigJson
  readonly incomplete_config?: MachineConfigJson
  readonly events: readonly unknown[]
  readonly checks: readonly unknown[]
  readonly host_status: HostStatus
  readonly cordoned: boolean
  readonly nonce?: string
  readonly lease?: unknown
}

export type HostStatus = 'ok' | 'unknown' | 'unreachable'

export interface MachineConfigJson {
  readonly image?: string
  readonly metadata?: Readonly<Record<string, string>>
  readonly guest?: unknown
  readonly mounts?: readonly { readonly volume?: string }[]
  readonly [key: string]: unknown
}

export interface VolumeJson {
  readonly id: string
  readonly name: string
  readonly state: string
  readonly size_gb: number
  readonly region: string
  readonly encrypted: boolean
  readonly attached_machine_id: string | null
  readonly attached_alloc_id: null
  readonly created_at: string
  readonly host_status: HostStatus
  readonly [key: string]: unknown
}

/** RFC 3339 in UTC, whole seconds. */
export const timeText = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`
