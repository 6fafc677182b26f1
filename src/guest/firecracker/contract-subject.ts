import { dirname, join } from 'node:path'
import { findBootFiles } from '../qemu/boot-files.ts'
import type { Runtime } from '../runtime.ts'
import { FirecrackerRuntime } from './firecracker-runtime.ts'

/**
 * For the contract's tests with a real Firecracker: FIRECRACKER_BIN, the jailer beside it unless
 * FIRECRACKER_JAILER says otherwise, and the kernel and initial file system that QEMU's machines boot, unless
 * FIRECRACKER_KERNEL and FIRECRACKER_INITRD do.
 */
export async function openRuntime(stateDir: string): Promise<Runtime> {
  const { env } = process
  const firecrackerPath = env['FIRECRACKER_BIN'] ?? ''
  const found = findBootFiles({
    kernelPath: env['FIRECRACKER_KERNEL'],
    initramfsPath: env['FIRECRACKER_INITRD'],
  })
  return new FirecrackerRuntime({
    ...{ stateDir, firecrackerPath },
    jailer: [env['FIRECRACKER_JAILER'] ?? join(dirname(firecrackerPath), 'jailer')],
    ...{ kernelPath: found.kernelPath, initrdPath: found.initramfsPath },
  })
}
