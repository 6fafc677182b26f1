import { inParallel } from '#base'
/** New machines: the volumes that they need, then they themselves, standbys last. */
import type { Machine, MachineConfig } from '#flaps-client'
import { createMachine } from './change-machine.ts'
import type { DeployContext } from './deploy-context.ts'
import type { Tell } from './deploy-event.ts'
import type { MachineCreate, NewVolume } from './deploy-plan.ts'
import type { Platform } from './platform.ts'

/** Makes volumes, and gives how a machine of the plan that needs one is made with it. */
export async function makeVolumes(
  platform: Platform,
  volumes: readonly NewVolume[],
  tell: Tell,
): Promise<<T extends MachineCreate>(create: T) => T> {
  const made: string[] = []
  for (const wanted of volumes) {
    const { id } = await platform.createVolume(wanted)
    made.push(id)
    tell({ kind: 'volume', volume: id, name: wanted.name, region: wanted.region })
  }
  return (create) => {
    if (create.newVolume === undefined) return create
    const [mount] = create.config.mounts ?? []
    const mounts = [{ ...mount, volume: made[create.newVolume] ?? '' }]
    return { ...create, config: { ...create.config, mounts } as MachineConfig }
  }
}

/** A standby watches the machines of its group that were made before it. */
export async function createNew(
  context: DeployContext,
  creates: readonly MachineCreate[],
  { isWatched, maxConcurrent }: { isWatched: boolean; maxConcurrent: number },
): Promise<void> {
  const ids = new Map<string, string[]>()
  const one = async (create: MachineCreate): Promise<void> => {
    context.signal.throwIfAborted()
    const onCreated = (machine: Machine) => {
      ids.set(create.group, [...(ids.get(create.group) ?? []), machine.id])
    }
    await createMachine(context, create, { isWatched, onCreated })
  }
  await inParallel(
    creates.filter(({ isStandby }) => !isStandby),
    maxConcurrent,
    one,
  )
  await inParallel(
    creates.filter(({ isStandby }) => isStandby),
    maxConcurrent,
    (create) => {
      const standbys = ids.get(create.group) ?? []
      const env = { ...create.config.env, FLY_STANDBY_FOR: standbys.join(',') }
      return one({ ...create, config: { ...create.config, standbys, env } })
    },
  )
}
