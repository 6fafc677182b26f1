import { inParallel } from '#base'
import { type Before, updateMachine } from '../change-machine.ts'
import type { DeployContext } from '../deploy-context.ts'
import type { MachineUpdate } from '../deploy-plan.ts'
import { isAtRest } from '../machine-facts.ts'

export interface RollingOptions {
  /** Machines of a group that may be down at once; below 1 a share of them. @default 0.33 */
  readonly maxUnavailable?: number
  readonly onChanged?: (before: Before) => void
}

const MAX_UNAVAILABLE = 0.33
const AT_REST_MAX = 30
const GROUPS_MAX = 16

/**
 * Groups side by side; in each, those at rest and those that run. The first of each goes alone: when it
 * fails, the others have not been touched.
 */
export async function updateRolling(
  context: DeployContext,
  updates: readonly MachineUpdate[],
  { maxUnavailable = MAX_UNAVAILABLE, onChanged }: RollingOptions,
): Promise<void> {
  const one = (update: MachineUpdate) =>
    updateMachine(context, update, { isWatched: true, ...(onChanged && { onChanged }) })
  const pools = [...Map.groupBy(updates, ({ group }) => group).values()].flatMap((group) => {
    const resting = group.filter(({ machine }) => isAtRest(machine))
    const running = group.filter(({ machine }) => !isAtRest(machine))
    return [
      { members: resting, limit: Math.min(resting.length, AT_REST_MAX) },
      { members: running, limit: unavailable(running.length, maxUnavailable) },
    ]
  })
  await inParallel(pools, GROUPS_MAX, async ({ members: [first, ...others], limit }) => {
    if (first === undefined) return
    context.signal.throwIfAborted()
    await one(first)
    await inParallel(others, limit, async (update) => {
      context.signal.throwIfAborted()
      await one(update)
    })
  })
}

/** How many of `count` machines may be down at once: a share is rounded up, a number down. */
export function unavailable(count: number, maxUnavailable: number): number {
  const machines =
    maxUnavailable >= 1 ? Math.floor(maxUnavailable) : Math.ceil(count * maxUnavailable)
  return Math.max(1, machines)
}
