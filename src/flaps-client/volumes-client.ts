import type { Volume } from './answers.ts'
import type { Call } from './call.ts'
import { ResourceClient } from './resource-client.ts'

export interface NewVolume {
  readonly name: string
  readonly region: string
  readonly size_gb: number
  readonly snapshot_retention?: number
  readonly auto_backup_enabled?: boolean
  /** Filled from it. */
  readonly snapshot_id?: string
  /** Filled from this volume as it is now. */
  readonly source_volume_id?: string
  /** The size of the machine that will have it: then its host has room for that, too. */
  readonly compute?: Readonly<Record<string, unknown>>
}

export interface Snapshot {
  readonly id: string
  readonly status: string
  /** Bytes of what it holds. */
  readonly size: number
  readonly created_at: string
  readonly retention_days: number
}

/** How a volume is backed up. */
export interface VolumeSettings {
  /** Days, 1 to 60. */
  readonly snapshot_retention?: number
  readonly auto_backup_enabled?: boolean
}

/** The volumes of one app, and their snapshots. */
export class VolumesClient extends ResourceClient {
  list(call?: Call): Promise<readonly Volume[]> {
    return this.caller.call('GET', this.path, call)
  }

  create(volume: NewVolume, call?: Call): Promise<Volume> {
    return this.caller.call('POST', this.path, { ...call, body: volume })
  }

  async destroy(id: string, call?: Call): Promise<void> {
    await this.caller.call('DELETE', this.of(id), call)
  }

  extend(
    id: string,
    sizeGb: number,
    call?: Call,
  ): Promise<{ volume: Volume; needs_restart: boolean }> {
    const options = { ...call, body: { size_gb: sizeGb } }
    return this.caller.call('PUT', `${this.of(id)}/extend`, options)
  }

  get(id: string, call?: Call): Promise<Volume & VolumeSettings> {
    return this.caller.call('GET', this.of(id), call)
  }

  update(id: string, settings: VolumeSettings, call?: Call): Promise<Volume & VolumeSettings> {
    return this.caller.call('PUT', this.of(id), { ...call, body: settings })
  }

  /** Newest last, or in any other order: sort them. */
  snapshots(id: string, call?: Call): Promise<readonly Snapshot[]> {
    return this.caller.call('GET', `${this.of(id)}/snapshots`, call)
  }

  /** Begins to take one; `snapshots` shows when it is there. */
  async createSnapshot(id: string, call?: Call): Promise<void> {
    await this.caller.call('POST', `${this.of(id)}/snapshots`, call)
  }
}
