/** One state of a volume. Never changed in place: a change makes another one. */
export interface VolumeSeen {
  readonly id: string
  readonly name: string
  readonly appId: string
  readonly orgId: string
  readonly region: string
  readonly state: VolumeState
  readonly sizeGb: number
  readonly isEncrypted: boolean
  readonly fstype: 'ext4' | 'raw'
  readonly machineId: string | undefined
  /** Days. */
  readonly snapshotRetention: number
  readonly autoBackupEnabled: boolean
  readonly createdAtMs: number
  readonly updatedAtMs: number
}

export type VolumeState =
  | 'creating'
  | 'created'
  | 'extending'
  | 'failed'
  | 'destroying'
  | 'destroyed'
