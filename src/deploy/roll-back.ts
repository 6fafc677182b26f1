import { inParallel } from '#base'
import { type Before, updateMachine } from './change-machine.ts'
import type { DeployContext } from './deploy-context.ts'
import { groupOf, keptItsVersion } from './machine-facts.ts'
import { say } from './watch-machine.ts'

const AT_ONCE = 8

/**
 * Gives machines the configuration back that they had; what never left it is not touched. Gives those for which that failed; each is told
 * of.
 */
export async function rollBack(
  context: DeployContext,
  changed: readonly Before[],
): Promise<Before[]> {
  const failed: Before[] = []
  context.tell({ kind: 'rolling_back', machines: changed.length })
  await inParallel(changed, AT_ONCE, async (before) => {
    const { machine, config } = before
    try {
      const now = await context.machines.get(machine.id)
      const update = { group: groupOf(machine), machine, config }
      if (!keptItsVersion(machine, now))
        await updateMachine(context, update, { isWatched: true, mustRun: true })
      say(context, machine, 'rolled_back')
    } catch (error) {
      failed.push(before)
      say(context, machine, 'failed', error instanceof Error ? error.message : String(error))
    }
  })
  return failed
}
