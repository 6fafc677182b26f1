import type { Volume } from './answers.ts'
import type { Call, FlapsClient } from './flaps-client.ts'

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

/** One volume of an app, and its snapshots. Every method throws ApiError. */
export class VolumesClient {
  readonly #client: FlapsClient
  readonly #path: string

  constructor(client: FlapsClient, app: string) {
    this.#client = client
    this.#path = `/v1/apps/${encodeURIComponent(app)}/volumes`
  }

  get(id: string, call?: Call): Promise<Volume & VolumeSettings> {
    return this.#client.call('GET', this.#of(id), call)
  }

  update(id: string, settings: VolumeSettings, call?: Call): Promise<Volume & VolumeSettings> {
    return this.#client.call('PUT', this.#of(id), { ...call, body: settings })
  }

  /** Newest last, or in any other order: sort them. */
  snapshots(id: string, call?: Call): Promise<readonly Snapshot[]> {
    return this.#client.call('GET', `${this.#of(id)}/snapshots`, call)
  }

  /** Begins to take one; `snapshots` shows when it is there. */
  async createSnapshot(id: string, call?: Call): Promise<void> {
    await this.#client.call('POST', `${this.#of(id)}/snapshots`, call)
  }

  #of(id: string): string {
    return `${this.#path}/${encodeURIComponent(id)}`
  }
}
