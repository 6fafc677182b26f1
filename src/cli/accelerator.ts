import { join } from 'node:path'
import type { Accelerator, RuntimeKind } from '#guest'

const ROOT = join(import.meta.dirname, '../..')

/** What a machine of that runtime is to run with; undefined: it is no virtual machine. */
export async function acceleratorFor(
  runtime: RuntimeKind,
  signal: AbortSignal,
): Promise<Accelerator | undefined> {
  if (runtime === 'runc') return undefined
  return await (await import('#setup')).chooseAccelerator(ROOT, signal)
}
