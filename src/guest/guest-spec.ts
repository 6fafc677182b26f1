import type { MachineId } from '#base'

/**
 * What a runtime needs to boot a machine. Everything in it exists already: the disks are made, the
 * network namespace stands. What the machine runs is not said here; init is told over the agent channel.
 */
export interface GuestSpec {
  readonly id: MachineId
  /** As the machine's configuration says it: a container cannot change its own. @default the id */
  readonly hostname?: string
  readonly cpu: CpuSpec
  /** RAM in MiB. A machine that needs more loses a process to the kernel's OOM killer. */
  readonly memoryMib: number
  /** Processes and threads at once; the bound of a fork bomb. @default 4096 */
  readonly pidsMax?: number
  /** The machine's first disk. A clone of the image's base, or the base itself read-only. */
  readonly rootfs: GuestDisk
  /** Volumes and swap, in the order in which letters are given. */
  readonly disks?: readonly GuestDisk[]
  readonly network?: GuestNetwork
}

/** @see quota.ts for what the kinds mean in time. */
export interface CpuSpec {
  readonly kind: 'shared' | 'performance'
  /** Virtual CPUs, 1 to 32. */
  readonly count: number
}

export interface GuestDisk {
  /** What init finds the disk by: at most 20 letters, digits, `_`. */
  readonly serial: string
  /** A block device or a raw image. */
  readonly path: string
  readonly readOnly?: boolean
  /**
   * Where it is mounted, for a container, whose init may not mount: the host does. In a virtual machine
   * init does, as its configuration says. A disk without it is no part of a container.
   */
  readonly mount?: DiskMount
}

export interface DiskMount {
  /** Absolute, in the machine. Made when missing. */
  readonly path: string
  readonly type: 'ext4' | 'xfs'
  readonly owner?: { readonly uid: number; readonly gid: number }
}

/**
 * A network namespace of the machine's own. For a virtual machine `device` is a tap that stands in it,
 * for a container the interface that the container sees. Whoever made it joins it to the host's network.
 */
export interface GuestNetwork {
  /** Path to pass to setns(2), such as /run/netns/NAME. */
  readonly netnsPath: string
  readonly device: string
  /** Of the guest's interface; six bytes in hex with colons. */
  readonly mac: string
  /** @default 1420, what WireGuard leaves of 1500 */
  readonly mtuBytes?: number
}
