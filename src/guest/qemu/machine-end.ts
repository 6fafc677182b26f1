/**
 * How a machine ended, as far as QEMU knows. It stays, with its processors stopped, until somebody has asked
 * (`-action shutdown=pause`): a machine's last words would be gone with it. Power-off is an end in order;
 * a reset is one, too, unless the kernel's console says that it was a panic's.
 */
import type { GuestEnd, RuntimeCall } from '../runtime.ts'
import { panicIn, readConsole } from './guest-console.ts'
import type { QmpClient } from './qmp-client.ts'
import type { QmpEvent } from './qmp-session.ts'

export const isShutdown = ({ name }: QmpEvent): boolean => name === 'SHUTDOWN'

/** Of a QEMU that has said SHUTDOWN, or whose status is `shutdown`. */
export async function readEnd(qmp: QmpClient, call: RuntimeCall = {}): Promise<GuestEnd> {
  const panic = panicIn(await readConsole(qmp, call))
  if (panic === undefined) return { cause: 'shutdown', isOutOfMemory: false }
  return { cause: 'crashed', detail: `kernel panic: ${panic}`, isOutOfMemory: false }
}

/** `running`, `paused`, `inmigrate`, `postmigrate`, `shutdown` and so on. */
export async function readStatus(qmp: QmpClient, call: RuntimeCall = {}): Promise<string> {
  const answer = (await qmp.ask('query-status', undefined, call)) as { status?: unknown }
  return String(answer.status)
}
