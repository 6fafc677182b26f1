import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { JailFiles } from './jail-root.ts'

const BUILD = join(import.meta.dirname, '../../../build')
const SMALL_KERNEL = join(BUILD, 'small-kernel/vmlinux')

/**
 * With these a machine of one CPU has 23 MiB left when its program starts. Measured in steps of 8 MiB: Debian's
 * kernel reaches init in 80 MiB, the small one in 48, each with 7 left; with 8 less they panic.
 */
const memoryMinMib = { debian: 96, small: 64 } as const

export interface BootFiles extends JailFiles {
  /** RAM with which this kernel comes up and leaves room for a program; 1 for one that is not ours. */
  readonly memoryMinMib: number
}

/**
 * The kernel and the initramfs to boot: the small kernel where `npm run kernel` has built it, else Debian's,
 * each with the initramfs that set-up made for it.
 */
export function findBootFiles(given: {
  readonly kernelPath?: string | undefined
  readonly initramfsPath?: string | undefined
}): BootFiles {
  const hasSmall = existsSync(SMALL_KERNEL)
  const kernel = hasSmall ? SMALL_KERNEL : join(BUILD, 'machine/vmlinux')
  const initramfs = join(BUILD, 'machine', hasSmall ? 'initramfs-small.cpio' : 'initramfs.cpio')
  return {
    kernelPath: given.kernelPath ?? kernel,
    initramfsPath: given.initramfsPath ?? initramfs,
    memoryMinMib: given.kernelPath === undefined ? memoryMinMib[hasSmall ? 'small' : 'debian'] : 1,
  }
}
