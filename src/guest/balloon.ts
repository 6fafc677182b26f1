import { pollUntil, startDeadline } from '#base'
import { GuestError } from './errors.ts'
import type { RuntimeCall } from './runtime.ts'

/** The balloon of a virtual machine: pages that its kernel gave back to the host. MiB. */
export interface Balloon {
  /** What it holds now. */
  size(call: RuntimeCall): Promise<number>
  /** What it is to hold; the machine's kernel gets there page by page, or not. */
  aim(mib: number, call: RuntimeCall): Promise<void>
}

const CHANGE_MS = 20_000
/** A kernel that has found no page to give for so long will find none soon. */
const STALL_MS = 3_000
const LOOK_MS = 50

/**
 * Lets the machine have less of its memory, or more again.
 *
 * @returns what it may use now, MiB: more than was asked for when its kernel has no more to give
 * @throws BaseError base.deadline_exceeded: it may still change
 */
export async function limitByBalloon(
  balloon: Balloon,
  { bootMib, limitMib }: { readonly bootMib: number; readonly limitMib: number },
  call: RuntimeCall,
): Promise<number> {
  using deadline = startDeadline('the change of memory', call.deadlineMs ?? CHANGE_MS, call)
  const { signal } = deadline
  const wanted = bootMib - limitMib
  const reached = await settle(balloon, wanted, signal)
  if (reached < wanted) await balloon.aim(reached, { signal })
  return bootMib - reached
}

/**
 * Takes pages that the machine does not need and gives it the right to use them again: the host has them until it does.
 *
 * @returns how much was taken, MiB; pages among it that the machine had never used were the host's already
 * @throws BaseError base.deadline_exceeded
 */
export async function squeezeByBalloon(
  balloon: Balloon,
  amountMib: number,
  call: RuntimeCall,
): Promise<number> {
  using deadline = startDeadline('the reclaiming of memory', call.deadlineMs ?? CHANGE_MS, call)
  const { signal } = deadline
  const before = await balloon.size({ signal })
  let reached = before
  try {
    reached = await settle(balloon, before + amountMib, signal)
  } finally {
    await balloon.aim(before, {}) // also when the time is up
  }
  await settle(balloon, before, signal)
  return Math.max(0, reached - before)
}

/** @returns what it holds when it is as it should be, or comes no nearer */
async function settle(balloon: Balloon, wanted: number, signal: AbortSignal): Promise<number> {
  await balloon.aim(wanted, { signal })
  let size = await balloon.size({ signal })
  let nearest = Math.abs(wanted - size)
  let nearedMs = performance.now()
  const isSettled = async () => {
    size = await balloon.size({ signal })
    const distance = Math.abs(wanted - size)
    if (distance < nearest) {
      nearest = distance
      nearedMs = performance.now()
    }
    // A kernel without memory takes pages back and gives them again, for ever.
    return size === wanted || performance.now() - nearedMs >= STALL_MS
  }
  const options = { deadlineMs: CHANGE_MS, intervalMs: LOOK_MS, signal }
  await pollUntil('the balloon to settle', isSettled, options)
  return size
}

/** @throws GuestError guest.memory_bad */
export function checkLimit(
  { id, memoryMib }: { readonly id: string; readonly memoryMib: number },
  limitMib: number,
): void {
  if (Number.isInteger(limitMib) && limitMib >= 1 && limitMib <= memoryMib) return
  throw new GuestError('guest.memory_bad', {
    what: 'a machine cannot have this much memory',
    values: { machine: id, limitMib, bootMib: memoryMib },
    fix: 'ask for at most what it was booted with',
  })
}
