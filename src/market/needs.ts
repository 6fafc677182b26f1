/** Source: machine configuration, `guest.cpu_kind`. */
export const CPU_KINDS = ['shared', 'performance'] as const
export type CpuKind = (typeof CPU_KINDS)[number]

/** What a running machine takes from its host. */
export interface Guest {
  readonly cpuKind: CpuKind
  /** vCPUs. */
  readonly cpus: number
  readonly memoryMb: number
}

/**
 * What is taken from a host: by a running machine its guest, by a volume its bytes, by a machine
 * that comes with a new volume both. A stopped machine takes nothing.
 */
export interface Needs {
  readonly guest?: Guest
  /** Bytes of volumes that are yet to be created. */
  readonly volumeBytes?: number
}
