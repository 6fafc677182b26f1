import type { Runtime } from '../runtime.ts'
import { RuncRuntime } from './runc-runtime.ts'

/** For the contract's tests, and for the process among them that is killed. */
export async function openRuntime(stateDir: string): Promise<Runtime> {
  return new RuncRuntime({ stateDir })
}
