/** A volume as acts see it. */
export interface VolumeSubject {
  readonly id: string
  readonly appId: string
  readonly orgId: string
  readonly name: string
  readonly sizeGb: number
  readonly isEncrypted: boolean
  readonly fstype: 'ext4' | 'raw'
  readonly snapshotId: string | undefined
  readonly sourceVolumeId: string | undefined
  /** The machine that has it. */
  readonly machineId: string | undefined
}
