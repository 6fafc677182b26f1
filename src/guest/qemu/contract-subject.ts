import { join } from 'node:path'
import type { Runtime } from '../runtime.ts'
import { QemuRuntime } from './qemu-runtime.ts'

/** For the contract's tests, and for the process among them that is killed. Emulated: CI has no KVM. */
export async function openRuntime(stateDir: string): Promise<Runtime> {
  return new QemuRuntime({ stateDir, cacheDir: join(stateDir, '../cache') })
}
