import { inParallel } from '#base'
import type { Machine, MachineConfig } from '#flaps-client'
import { createMachine, tryDestroy } from '../change-machine.ts'
import type { DeployContext } from '../deploy-context.ts'
import type { MachineUpdate } from '../deploy-plan.ts'

const GROUPS_MAX = 16

/**
 * One more machine for each group, which must become healthy before any other is touched. It takes
 * traffic as they do, and goes, whether it was healthy or not.
 */
export async function tryCanaries(
  context: DeployContext,
  updates: readonly MachineUpdate[],
): Promise<void> {
  const groups = [...Map.groupBy(updates, ({ group }) => group).values()]
  await inParallel(groups, GROUPS_MAX, async ([first]) => {
    if (first === undefined) return
    context.tell({ kind: 'stage', text: `canary of ${first.group}` })
    let canary: Machine | undefined
    try {
      const config = canaryConfig(first)
      const { group, machine } = first
      await createMachine(
        context,
        { group, region: machine.region, config, isStandby: false },
        {
          isWatched: true,
          onCreated(created) {
            canary = created
          },
        },
      )
    } finally {
      if (canary !== undefined) await tryDestroy(context, canary)
    }
  })
}

function canaryConfig({ config }: MachineUpdate): MachineConfig {
  const { standbys: _standbys, ...rest } = config
  const dns = { ...(config['dns'] as object | undefined), skip_registration: true }
  return { ...rest, dns, metadata: { ...config.metadata, fly_canary: 'true' } }
}
