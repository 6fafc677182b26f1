import { join } from 'node:path'
import { GuestError } from './errors.ts'
import type { Accelerator } from './qemu/command-line.ts'
import { QemuRuntime } from './qemu/qemu-runtime.ts'
import { RuncRuntime } from './runc/runc-runtime.ts'
import type { Runtime, RuntimeKind } from './runtime.ts'

/** What `openRuntime` can open on some host, the preferred first. */
export const runtimeKinds: readonly RuntimeKind[] = ['runc', 'qemu']

export interface OpenRuntimeOptions {
  /** For virtual machines. `kvm` only where a guest has booted with it. @default tcg */
  readonly accelerator?: Accelerator
}

/**
 * The runtime of that kind; its guests are in a folder of their own below `stateDir`.
 *
 * @param stateDir short: sockets lie in it.
 * @throws GuestError guest.host_unable
 */
export async function openRuntime(
  kind: RuntimeKind,
  stateDir: string,
  { accelerator = 'tcg' }: OpenRuntimeOptions = {},
): Promise<Runtime> {
  switch (kind) {
    case 'runc':
      return new RuncRuntime({ stateDir: join(stateDir, 'runc') })
    case 'qemu': {
      const cacheDir = join(stateDir, 'qemu-cache')
      return new QemuRuntime({ stateDir: join(stateDir, 'qemu'), cacheDir, accelerator })
    }
    case 'firecracker':
      throw new GuestError('guest.host_unable', {
        what: 'Firecracker is not opened by its name alone',
        values: { runtime: kind },
        fix: `use one of ${runtimeKinds.join(', ')}; docs/guest-firecracker.md says how far Firecracker is`,
      })
  }
}
