import type { Row } from './row.ts'

/** What a host says of itself and of the region that it stands in. */
export interface HostSelf {
  readonly id: string
  readonly region: {
    readonly code: string
    readonly name: string
    readonly latitude: number
    readonly longitude: number
  }
  readonly state: 'ready' | 'cordoned' | 'draining'
  readonly version: string
  readonly backhaulIp: string
  readonly isGateway: boolean
  readonly isEdge: boolean
  readonly arch: string
  readonly cpus: number
  readonly memoryMb: number
  readonly diskGb: number
  /** Unix milliseconds: when flyd started. */
  readonly startedAtMs: number
  /** Unix milliseconds: when any of it changed. */
  readonly updatedAtMs: number
}

/** Columns of others, such as the mesh's keys, are not among these and stay. */
export function hostRows(self: HostSelf): Row[] {
  const { region } = self
  return [
    {
      table: 'hosts',
      key: [self.id],
      cells: {
        region: region.code,
        state: self.state,
        version: self.version,
        backhaul_ip: self.backhaulIp,
        is_gateway: Number(self.isGateway),
        is_edge: Number(self.isEdge),
        arch: self.arch,
        cpus: self.cpus,
        memory_mb: self.memoryMb,
        disk_gb: self.diskGb,
        started_at: self.startedAtMs,
        updated_at: self.updatedAtMs,
      },
    },
    {
      table: 'regions',
      key: [region.code, self.id],
      cells: {
        display_name: region.name,
        latitude: region.latitude,
        longitude: region.longitude,
        updated_at: self.startedAtMs,
      },
    },
  ]
}
