import { inParallel } from '#base'
import { type Before, updateMachine } from '../change-machine.ts'
import type { DeployContext } from '../deploy-context.ts'
import type { MachineUpdate } from '../deploy-plan.ts'

/** All at once, without waiting for anything to be healthy. */
export const updateAtOnce = (
  context: DeployContext,
  updates: readonly MachineUpdate[],
  { maxConcurrent, onChanged }: { maxConcurrent: number; onChanged?: (before: Before) => void },
): Promise<void> =>
  inParallel(updates, maxConcurrent, async (update) => {
    context.signal.throwIfAborted()
    await updateMachine(context, update, { isWatched: false, ...(onChanged && { onChanged }) })
  })
